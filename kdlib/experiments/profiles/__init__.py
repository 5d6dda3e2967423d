"""The profiles, a file for each: one experiment in several sizes."""

from kdlib.experiments.profiles import halves, laptop, paper, smoke, workstation

PROFILES = {p.name: p for p in (smoke.PROFILE, laptop.PROFILE, workstation.PROFILE, halves.PROFILE, paper.PROFILE)}
