"""The profiles, a file for each: one experiment in several sizes."""

from kdlib.experiments.profile import Role
from kdlib.experiments.profiles import halves, laptop, paper, signals, smoke, workstation

_ALL = (smoke.PROFILE, laptop.PROFILE, signals.PROFILE, workstation.PROFILE, halves.PROFILE, paper.PROFILE)
PROFILES = {profile.name: profile for profile in _ALL}


def _in_role(role: Role) -> str:
    (name,) = (p.name for p in PROFILES.values() if p.role == role)
    return name


LIVE, VERDICTS, REAL, REGIME = (_in_role(role) for role in ("live", "verdicts", "real", "regime"))
