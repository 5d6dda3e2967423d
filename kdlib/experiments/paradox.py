"""Chapter 4, the paradox: accuracy against fidelity (Fig 1), m = 1 ... 12 (Fig 10), calibration, labels (Fig 14)."""

from functools import partial

import numpy as np
from scipy.stats import spearmanr

from kdlib.experiments.design import Design, tested
from kdlib.experiments.optimization import LAMBDAS
from kdlib.stats import Claim, Part, slope

ALPHAS = (0.0, 0.1, 0.3, 0.5, 0.7)
ENSEMBLES = (1, 3, 5)


def runs(d: Design) -> dict:
    p = d.profile
    out = {("size", m, f): d.students(m, f) for m in ENSEMBLES for f in p.factors}
    out |= {("members", m): d.students(m) for m in p.members}
    out |= {("alpha", m, a): d.students(m, alpha=a) for m in ENSEMBLES for a in ALPHAS}
    out |= {("lambda", x): d.students(factor=p.wide_set, teacher=p.plain, toward_teacher=x)  # chapter 2's
            for x in LAMBDAS}
    out |= {("policy", 5, name, t): d.students(5, policy=name, temperature=t) for name, t in p.cells}
    return out


def rank_correlation(r, one: str, other: str, temperature: float | None = None) -> np.ndarray:
    """[trials] Spearman correlation of two metrics over the students of the 5-member teacher, one per recipe; over the
    recipes of one temperature, if it is given."""
    rows = [("policy", 5, *cell) for cell in r.profile.cells if temperature in (None, cell[1])]
    pairs = zip(r.table(rows, one), r.table(rows, other), strict=True)
    return np.array([spearmanr(a, b).statistic for a, b in pairs])


# Thresholds, fixed before the first run: "saturated" is less than 0.1 points of accuracy per member.

def _per_doubling(r, metric, m, more="size"):
    first, *others = r.profile.factors
    return slope(np.log2(r.profile.factors), r.table([("size", m, first), *((more, m, f) for f in others)], metric))


def p1(r) -> Claim:
    small = ("size", 1, 1)
    return Claim("P1", "In self-distillation the student beats its teacher", "Fig 1a", (
        Part("student - teacher accuracy, m = 1, x1", r(small, "accuracy") - r(small, "teacher_accuracy"), "above", 0,
             "points"),))


def p2(r, more: str = "size") -> Claim:
    """`more`: rows whose inputs are added to the teacher's; "gan", the generated images of chapter 1, as in the
    paper."""
    inputs = ", generated images" if more == "gan" else ""
    return Claim("P2", "In self-distillation the student loses its lead as it becomes more faithful", "Fig 1a", (
        Part(f"accuracy per doubling, m = 1{inputs}", _per_doubling(r, "accuracy", 1, more), "below", 0, "points"),
        Part(f"agreement per doubling, m = 1{inputs}", _per_doubling(r, "agreement", 1, more), "above", 0, "points")))


def p3(r) -> Claim:
    return Claim("P3", "With an ensemble teacher fidelity and accuracy rise together", "Fig 1b", (
        Part("accuracy per doubling, m = 3", _per_doubling(r, "accuracy", 3), "above", 0, "points"),
        Part("agreement per doubling, m = 3", _per_doubling(r, "agreement", 3), "above", 0, "points")))


def p4(r) -> Claim:
    late = [m for m in r.profile.members if m >= 4]

    def per_member(metric):
        return slope(late, r.table([("members", m) for m in late], metric))

    return Claim("P4", "Accuracy saturates in m while agreement keeps rising", "Fig 10", (
        Part("accuracy per member, m >= 4", per_member("accuracy"), "within", 0.001, "points"),
        Part("agreement per member, m >= 4", per_member("agreement"), "above", 0, "points")))


def p6(r) -> Claim:
    return Claim("P6", "Distilling ensembles, the most faithful student is the best calibrated", "Sec 7", (
        Part("rank correlation of agreement and ECE over policies, m = 5", rank_correlation(r, "agreement", "ece"),
             "below", 0, ""),))


def p7(r) -> Claim:
    per_alpha = np.mean([slope(ALPHAS, r.table([("alpha", m, a) for a in ALPHAS], "agreement"))
                         for m in ENSEMBLES], 0)
    return Claim("P7", "Mixing in true labels does not help fidelity", "Fig 14", (
        Part("agreement per unit of alpha, mean over m", per_alpha, "below", 0.01, "points"),))


CLAIMS = {"P1": p1, "P2": p2, "P3": p3, "P4": p4, "P6": p6, "P7": p7}
claims = partial(tested, CLAIMS)
