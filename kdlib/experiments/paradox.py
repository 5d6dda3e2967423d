"""The paradox: accuracy against fidelity (Fig 1), m = 1 ... 12 (Fig 10), calibration, labels (Fig 14)."""

import numpy as np
from scipy.stats import spearmanr

from kdlib.experiments.design import Design
from kdlib.experiments.optimization import LAMBDAS

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
