"""The distillation data: augmentation policies (Fig 3, 11), recycling (Fig 4), temperature by ensemble size (Fig 9)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kdlib.experiments.fidelity_gap import ENSEMBLES
from kdlib.experiments.page import Chapter
from kdlib.stats import leave_one_out_best

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

TAUS = (1.0, 4.0, 8.0, 16.0)
SETS = ("D0", "D1", "D0+D1")  # the teacher's own training inputs, as many new ones, both
HALVES = dict(zip(SETS, ("half A", "half B", "both halves"), strict=True))  # in words: D1 is also a claim


@dataclass(frozen=True)
class Settings:
    """The chapter's sizes in a profile."""

    policies: tuple  # as figures list them
    recipes: tuple  # (policy, temperature) of Fig 3, at m = 5
    small_recipes: tuple  # of Fig 11, at m = 1 and 3
    net: str  # of Fig 9
    unlike: str = "ood"  # the policy that mixes in images of another domain, which D3 is about (Fig 3)
    halved: dict = field(default_factory=dict)  # what is different where data is recycled (Fig 4, 9), if anything


def runs(d: "Design") -> dict:
    """All runs of the chapter: {condition: [one spec per trial]}."""
    return policies(d) | recycling(d) | temperatures(d)


CHAPTER = Chapter(3, "distillation_data", "The data", runs, ("distillation_data",))


def policies(d: "Design") -> dict:
    """Fig 3 (m = 5) and Fig 11; out-of-domain images at every m also where no recipe has them."""
    s = d.profile.distillation_data
    return {("policy", m, p, t): d.students(m, policy=p, temperature=t)
            for members, recipes in (((5,), s.recipes), ((1, 3), s.small_recipes)) for m in members
            for p, t in dict.fromkeys((*recipes, (s.unlike, 1.0)))}


def recycling(d: "Design") -> dict:
    """Fig 4: over m at temperature 4, over temperature at m = 3."""
    out: dict = {}
    for s in SETS:
        out |= {("recycle", s, m, 4.0): d.halved.recycled(s, m, 4.0) for m in ENSEMBLES}
        out |= {("recycle", s, 3, t): d.halved.recycled(s, 3, t) for t in TAUS[:3]}
    return out


def temperatures(d: "Design") -> dict:
    """Fig 9."""
    return {("tau", m, t): d.halved.students(m, teacher=d.profile.distillation_data.net, temperature=t)
            for m in ENSEMBLES for t in TAUS}


def policy_table(r, metric, m=5):
    """A metric of every recipe of the policies, [trials, recipes]."""
    return r.table([("policy", m, p, t) for p, t in r.profile.distillation_data.recipes], metric)


def chosen(r, metric) -> np.ndarray:
    """[trials] index into the profile's recipes: the best by the mean over the other trials."""
    return leave_one_out_best(policy_table(r, metric))
