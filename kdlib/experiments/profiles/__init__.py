"""The profiles, a file for each: one experiment in several sizes."""

from kdlib.experiments.profiles import halves, laptop, paper, signals, smoke, workstation

PROFILES = {p.name: p for p in (smoke.PROFILE, laptop.PROFILE, signals.PROFILE, workstation.PROFILE, halves.PROFILE,
                                paper.PROFILE)}
