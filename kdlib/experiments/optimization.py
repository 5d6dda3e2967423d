"""Chapter 2, optimization: Fig 5, Fig 6a-c, Table 1 (O1-O6)."""

from functools import partial

import numpy as np

from kdlib.experiments.design import SETS, Design, tested
from kdlib.stats import Claim, Part, slope

ENSEMBLES = (1, 3, 5)
LAMBDAS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)
PLANES = (0.0, 0.25, 0.375)


def runs(d: Design) -> dict:
    p, near = d.profile, {"factor": d.profile.wide_set, "teacher": d.profile.plain}
    out = {("size", m, f): d.students(m, f) for m in ENSEMBLES for f in p.factors}
    out |= {("policy", m, name): d.students(m, policy=name) for m in ENSEMBLES for name in policies(p)}
    out |= {("recycle", s, m): d.halves.recycled(s, m, 4.0) for s in SETS for m in ENSEMBLES}
    for name, training in p.optimizers.items():
        for k in p.lengths:
            out[name, k] = d.students(training=training, times=k, **near)
    out["longer"] = d.students(factor=p.factors[-1], times=10)  # chapter 1's
    for x in LAMBDAS:
        students = d.students(toward_teacher=x, **near)
        out["lambda", x] = students
        out["surface", x] = d.surfaces(students, p.grid if x in PLANES else 0)
    for start in ("random", "teacher-initial"):  # Table 1 asks for more trials than the rest
        out["start", start] = d.with_seeds(max(d.seeds, p.start_seeds)).students(start=start)
    return out


def policies(p) -> tuple:
    """Those of Fig 5."""
    return ("baseline", *p.light, "combined")


def vanished(r, one: float, other: float, sweep="lambda"):
    """[trials] how much of the train KL at lambda = 0 vanishes between two values of lambda, as a share of it."""
    start, before, after = (r((sweep, x), "train_kl") for x in (0.0, one, other))
    return (before - after) / start


def sudden(r, sweep="lambda"):
    """[trials] the share that vanishes where the paper's change is."""
    return vanished(r, 0.25, 0.375, sweep)


# Thresholds, fixed before the first run.

def o1(r) -> Claim:
    factors = r.profile.factors
    train = r.table([("size", 1, f) for f in factors], "train_agreement")
    return Claim("O1", "More distillation data, lower train agreement", "Fig 5", (
        Part("slope of train agreement per doubling, m = 1", slope(np.log2(factors), train), "below", 0, "points"),))


def o2(r) -> Claim:
    def over_light(metric, m):
        """Combined minus the mean of the single ones."""
        light = np.mean([r(("policy", m, name), metric) for name in r.profile.light], 0)
        return r(("policy", m, "combined"), metric) - light

    return Claim("O2", "Heavier augmentation: lower train, yet higher test agreement", "Fig 3, 5", (
        Part("train agreement, combined minus mean of single ones, m = 1", over_light("train_agreement", 1), "below", 0,
             "points"),
        Part("test agreement, combined minus mean of single ones, m = 5", over_light("agreement", 5), "above", 0,
             "points")))


def o3(r) -> Claim:
    long = r.profile.lengths[-1]
    return Claim("O3", f"Neither optimizer nor {long:.3g}x longer training closes the train gap", "Fig 6a", tuple(
        Part(f"1 - train agreement, {o}, {long:.3g}x steps", r.gap((o, long), "train_agreement"), "above", 0.05,
             "points") for o in r.profile.optimizers))


def o4(r) -> Claim:
    return Claim("O4", "Near the teacher the same optimizer succeeds: a sudden change in lambda", "Fig 6b", (
        Part("share of the train KL at 0 that vanishes between .25 and .375", sudden(r), "above", 0.5, ""),
        Part("train agreement at .375", r(("lambda", 0.375), "train_agreement"), "above", 0.99, "points")))


def o5(r) -> Claim:
    return Claim("O5", "Far starts end in another basin", "Fig 6c", (
        Part("barrier to the teacher, lambda = 0", r(("surface", 0.0), "barrier"), "above", 0.1, "nats"),
        Part("barrier to the teacher, lambda = .375", r(("surface", 0.375), "barrier"), "below", 0.02, "nats")))


def o6(r) -> Claim:
    same, other = ("start", "teacher-initial"), ("start", "random")
    return Claim("O6", "The teacher's initial weights change features a little, the function not", "Table 1", (
        Part("test agreement, teacher's initial weights minus random", r(same, "agreement") - r(other, "agreement"),
             "within", 0.01, "points"),
        Part("CKA, mean of three stages, teacher's initial weights minus random",
             np.mean([r(same, f"cka{k}") - r(other, f"cka{k}") for k in (1, 2, 3)], 0), "above", 0, "")))


CLAIMS = {"O1": o1, "O2": o2, "O3": o3, "O4": o4, "O5": o5, "O6": o6}
claims = partial(tested, CLAIMS)
