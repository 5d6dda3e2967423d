"""The paradox: accuracy against fidelity (Fig 1), m = 1 ... 12 (Fig 10), calibration, labels (Fig 14)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kdlib import stats
from kdlib.experiments.fidelity_gap import ENSEMBLES
from kdlib.experiments.page import Chapter

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

ALPHAS = (0.0, 0.1, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Settings:
    """The chapter's sizes in a profile."""

    members: tuple  # of Fig 10
    temperatures: tuple = (1.0,)  # of Fig 10


def runs(d: "Design") -> dict:
    """All runs of the chapter: {condition: [one spec per trial]}."""
    factors = d.profile.fidelity_gap.factors
    out: dict = {("size", m, f): d.students(m, f) for m in ENSEMBLES for f in factors}  # chapter 1's
    out |= members(d) | true_labels(d)
    return out | {("policy", 5, name, t): d.students(5, policy=name, temperature=t)  # chapter 3's
                  for name, t in d.profile.distillation_data.recipes}


CHAPTER = Chapter(4, "paradox", "The paradox", runs, ("paradox",), reads=("optimization",))


def members(d: "Design") -> dict:
    """Fig 10; its caption says temperature 1, and its numbers are rather those of the paper's students at 4."""
    p = d.profile.paradox
    return {("members", m, *([] if t == 1 else [t])): d.students(m, temperature=t)
            for t in p.temperatures for m in p.members}


def true_labels(d: "Design") -> dict:
    """Fig 14: alpha is their weight in the loss."""
    return {("alpha", m, a): d.students(m, alpha=a) for m in ENSEMBLES for a in ALPHAS}


def rank_correlation(r, one: str, other: str, temperature: float | None = None) -> np.ndarray:
    """[trials] Spearman correlation of two metrics over the students of the 5-member teacher, one per recipe; over the
    recipes of one temperature, if it is given."""
    rows = [("policy", 5, *recipe) for recipe in r.profile.distillation_data.recipes
            if temperature in (None, recipe[1])]
    pairs = zip(r.table(rows, one), r.table(rows, other), strict=True)
    return np.array([stats.rank_correlation(a, b) for a, b in pairs])
