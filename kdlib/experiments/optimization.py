"""Optimization: Fig 5, Fig 6a-c, Table 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from kdlib.catalog import BASELINE
from kdlib.experiments.distillation_data import SETS
from kdlib.experiments.fidelity_gap import ENSEMBLES
from kdlib.experiments.page import Chapter
from kdlib.experiments.profile import Profile
from kdlib.spec import Initialization, Training
from kdlib.stats import leave_one_out_best

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

LAMBDAS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)
PLANES = (0.0, 0.25, 0.375)
AXIS = tuple(i / 8 for i in range(9))  # of claims O4 and O5: the paper's lambda, in equal steps

FLOOR = 1e-6  # the least learning rate to which the official code scales


@dataclass(frozen=True)
class AsInThePaper:
    """Fig 6 where the paper's draw of weights, its lambda axis and its weight decay count (claims O3, O4, O5, O7)."""

    draw: Initialization  # of teachers and students
    teaching: Training  # until the teachers fit their images
    optimizers: dict
    lengths: tuple  # times the student's training; without weight decay where they are longer than once
    seeds: int = 0  # trials, where they are more than the rest has


@dataclass(frozen=True)
class Settings:
    """The chapter's sizes in a profile."""

    net: str  # of Fig 6, without BatchNorm
    factor: float  # distillation inputs there, as a multiple of the teacher's: enough for a plain train gap
    optimizers: dict  # of Fig 6a
    grid: int  # points a side of a loss plane
    single: tuple  # the policies that "combined" combines
    lengths: tuple = (1, 3, 10)  # of Fig 6a, times the student's training
    decay_when_long: bool = True  # the paper's runs of 1k and 5k epochs have no weight decay
    start_seeds: int = 0  # trials of Table 1, where they are more than the rest has
    start_net: str | None = None  # of Table 1, where it is not the profile's
    passes: tuple = ()  # factors of inputs that are also trained for as many passes as the smallest, not steps
    as_in_the_paper: AsInThePaper | None = None
    moves: int = 0  # trials of what moves a student away from its teacher's weights


def runs(d: "Design") -> dict:
    """All runs of the chapter: {condition: [one spec per trial]}."""
    return (train_agreement(d) | passes(d) | optimizers(d)
            | {"longer": d.students(factor=d.profile.fidelity_gap.factors[-1], times=10)}  # chapter 1's
            | starts_near(d) | as_in_the_paper(d) | moves(d) | initial_weights(d))


CHAPTER = Chapter(2, "optimization", "Optimization", runs, ("optimization",), shown=("moved",))


def train_agreement(d: "Design") -> dict:
    """Fig 5: agreement on the distillation inputs themselves, by their amount, by policy and on halves of the data."""
    out = {("size", m, f): d.students(m, f) for m in ENSEMBLES for f in d.profile.fidelity_gap.factors}
    out |= {("policy", m, name): d.students(m, policy=name) for m in ENSEMBLES for name in policies(d.profile)}
    return out | {("recycle", s, m): d.halved.recycled(s, m, 4.0) for s in SETS for m in ENSEMBLES}


def passes(d: "Design") -> dict:
    """Fig 5's amounts of data where every input is seen as often, not every student trained for as many steps."""
    again = 1 if d.profile.epochs else 0  # a profile that counts epochs does so anyway
    return {("passes", f): d.students(1, f, times=f ** (1 - again)) for f in d.profile.optimization.passes}


def optimizers(d: "Design") -> dict:
    """Fig 6a: other optimizers, and longer."""
    s = d.profile.optimization
    return {(name, k): d.students(training=training if k == 1 or s.decay_when_long else training.but(weight_decay=0.0),
                                  times=k, factor=s.factor, teacher=s.net)
            for name, training in s.optimizers.items() for k in s.lengths}


def starts_near(d: "Design") -> dict:
    """Fig 6b and 6c: students that start on the way to their teacher's weights, and the loss between the two."""
    out = {}
    for x in LAMBDAS:
        out["lambda", x] = toward(d, x)
        out["surface", x] = d.surfaces(out["lambda", x], d.profile.optimization.grid if x in PLANES else 0)
    return out


def toward(d: "Design", x: float, **options) -> Sequence:
    """Students that start at lambda = x, one per trial."""
    s = d.profile.optimization
    return d.students(toward_teacher=x, factor=s.factor, teacher=s.net, **options)


def own_lambda(paper: float, draw: Initialization) -> float:
    """The share of the teacher's weights in a start that stands to the random ones as in the paper's: PyTorch's draw is
    sqrt(6) times smaller than the official code's, so that of the same start less is the teacher's."""
    return paper / (paper + _larger(draw) * (1 - paper))


def paper_lambda(own: float, draw: Initialization) -> float:
    """The other way round: the lambda in the paper of a start with that share."""
    return own * _larger(draw) / (own * _larger(draw) + 1 - own)


def _larger(draw: Initialization) -> float:
    """How many times the paper's random weights are as large."""
    return 1.0 if draw == "he-fan-out" else 6**0.5


def as_in_the_paper(d: "Design") -> dict:
    """Fig 6 on the paper's lambda axis, and its long runs without weight decay; "basin" is the loss on the way from the
    student to its teacher."""
    s, p = d.profile.optimization, d.profile.optimization.as_in_the_paper
    if not p:
        return {}
    d = d.with_seeds(max(d.seeds, p.seeds))
    alike = {"factor": s.factor, "teacher": s.net, "teaching": p.teaching, "draw": p.draw}
    out: dict = {}
    for (name, training), k in product(p.optimizers.items(), p.lengths):
        out["patient", name, k] = d.students(training=training.but(weight_decay=0.0) if k > 1 else training, times=k,
                                             **alike)
    first = next(iter(p.optimizers.values()))
    for x in AXIS:
        out["near", x] = d.students(training=first, toward_teacher=own_lambda(x, p.draw), **alike)
        out["basin", x] = d.surfaces(out["near", x], s.grid if x in PLANES else 0)
    return out


def starts(r, near: str = "near", other: str = "lambda") -> dict:
    """Where students start near their teacher: {the paper's lambda: name of the row}. They are the rows `near`, which
    claims O4 and O5 rest on, or `other` ones where these are not all there; of the surfaces "basin" and "surface"."""
    if all((near, x) in r.rows for x in AXIS):
        return {x: (near, x) for x in AXIS}
    return {paper_lambda(x, r.profile.draw): (other, x) for x in LAMBDAS}


def moves(d: "Design") -> dict:
    """What moves a student away from its teacher's weights: by the paper's lambda, with and without weight decay, with
    the learning rate fixed and scaled by the distance that is left, by optimizer and draw of weights."""
    out: dict = {}
    s = d.profile.optimization
    if not s.moves:
        return out
    some = d.with_seeds(min(d.seeds, s.moves))
    for x, decay, rate, (name, training), draw in product(*move_factors(s)):
        used = training if decay == "decay" else training.but(weight_decay=0.0)
        out["moved", x, decay, rate, name, draw] = some.students(
            training=used if rate == "fixed" else scaled(used, x), toward_teacher=own_lambda(x, draw), draw=draw,
            factor=s.factor, teacher=s.net)
    return out


def move_factors(s: Settings) -> tuple:
    """The factors of `moves`: lambda, weight decay, learning rate, optimizer, draw."""
    return LAMBDAS, ("decay", "none"), ("fixed", "scaled"), tuple(s.optimizers.items()), ("torch", "he-fan-out")


def scaled(training: Training, toward_teacher: float) -> Training:
    """The learning rate times the distance that is left, as in the official code's Fig 6b."""
    return training.but(lr=max(training.lr * (1 - toward_teacher), FLOOR))


def initial_weights(d: "Design") -> dict:
    """Table 1: the teacher's own initial weights against random ones; it asks for more trials than the rest."""
    more = d.with_seeds(max(d.seeds, d.profile.optimization.start_seeds))
    net = d.profile.optimization.start_net
    return {("start", start): more.students(start=start, teacher=net, measures="paper")  # CKA is in the table
            for start in ("random", "teacher-initial")}


def policies(p: Profile) -> tuple:
    """Those of Fig 5."""
    return (BASELINE, *p.optimization.single, "combined")


def vanished(r, one: float, other: float, sweep="lambda"):
    """[trials] how much of the train KL at lambda = 0 vanishes between two values of lambda, as a share of it."""
    start, before, after = (r((sweep, x), "train_kl") for x in (0.0, one, other))
    return (before - after) / start


def sudden(r, sweep="lambda"):
    """[trials] the share that vanishes where the paper's change is."""
    return vanished(r, 0.25, 0.375, sweep)


def steepest(r) -> np.ndarray:
    """[trials] of the train KL that a student loses by starting as its teacher and not at random, the share that
    vanishes in one step of AXIS: the step that is steepest in the other trials. 0 where it loses none: a start as the
    teacher that ends no nearer to it is no success."""
    kl = r.table([("near", x) for x in AXIS], "train_kl")
    lost = kl[:, :1] - kl[:, -1:]
    shares = np.divide(-np.diff(kl, axis=1), lost, out=np.zeros((len(kl), len(AXIS) - 1)), where=lost > 0)
    return shares[np.arange(len(shares)), leave_one_out_best(shares)]


def steepest_step(r) -> tuple[float, float]:
    """Where on AXIS the train KL of all trials together falls most: the ends of that step."""
    step = int(np.argmin(np.diff(r.table([("near", x) for x in AXIS], "train_kl").mean(0))))
    return AXIS[step], AXIS[step + 1]
