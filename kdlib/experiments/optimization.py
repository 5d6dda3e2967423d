"""Optimization: Fig 5, Fig 6a-c, Table 1."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdlib.experiments.distillation_data import SETS
from kdlib.experiments.gap import ENSEMBLES
from kdlib.experiments.profile import Profile

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

LAMBDAS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)
PLANES = (0.0, 0.25, 0.375)


@dataclass(frozen=True)
class Settings:
    """The chapter's sizes in a profile."""

    net: str  # of Fig 6, without BatchNorm
    factor: float  # distillation inputs there, as a multiple of the teacher's: enough for a plain train gap
    optimizers: dict  # of Fig 6a
    grid: int  # points a side of a loss plane
    single: tuple  # the policies that "combined" combines
    lengths: tuple = (1, 3, 10)  # of Fig 6a, times the student's training
    start_seeds: int = 0  # trials of Table 1, where they are more than the rest has


def runs(d: "Design") -> dict:
    """All runs of the chapter: {condition: [one spec per trial]}."""
    return (train_agreement(d) | optimizers(d) | {"longer": d.students(factor=d.profile.gap.factors[-1], times=10)}
            | starts_near(d) | initial_weights(d))  # "longer": chapter 1's


def train_agreement(d: "Design") -> dict:
    """Fig 5: agreement on the distillation inputs themselves, by their amount, by policy and on halves of the data."""
    out = {("size", m, f): d.students(m, f) for m in ENSEMBLES for f in d.profile.gap.factors}
    out |= {("policy", m, name): d.students(m, policy=name) for m in ENSEMBLES for name in policies(d.profile)}
    return out | {("recycle", s, m): d.halved.recycled(s, m, 4.0) for s in SETS for m in ENSEMBLES}


def optimizers(d: "Design") -> dict:
    """Fig 6a: other optimizers, and longer."""
    s = d.profile.optimization
    return {(name, k): d.students(training=training, times=k, factor=s.factor, teacher=s.net)
            for name, training in s.optimizers.items() for k in s.lengths}


def starts_near(d: "Design") -> dict:
    """Fig 6b and 6c: students that start on the way to their teacher's weights, and the loss between the two."""
    out = {}
    for x in LAMBDAS:
        out["lambda", x] = toward(d, x)
        out["surface", x] = d.surfaces(out["lambda", x], d.profile.optimization.grid if x in PLANES else 0)
    return out


def toward(d: "Design", x: float, **options) -> list:
    """Students that start at lambda = x, one per trial."""
    s = d.profile.optimization
    return d.students(toward_teacher=x, factor=s.factor, teacher=s.net, **options)


def initial_weights(d: "Design") -> dict:
    """Table 1: the teacher's own initial weights against random ones; it asks for more trials than the rest."""
    more = d.with_seeds(max(d.seeds, d.profile.optimization.start_seeds))
    return {("start", start): more.students(start=start) for start in ("random", "teacher-initial")}


def policies(p: Profile) -> tuple:
    """Those of Fig 5."""
    return ("baseline", *p.optimization.single, "combined")


def vanished(r, one: float, other: float, sweep="lambda"):
    """[trials] how much of the train KL at lambda = 0 vanishes between two values of lambda, as a share of it."""
    start, before, after = (r((sweep, x), "train_kl") for x in (0.0, one, other))
    return (before - after) / start


def sudden(r, sweep="lambda"):
    """[trials] the share that vanishes where the paper's change is."""
    return vanished(r, 0.25, 0.375, sweep)
