"""The data: augmentation policies (Fig 3, 11), recycling (Fig 4), temperature by ensemble size (Fig 9)."""

import numpy as np

from kdlib.experiments.design import SETS, Design
from kdlib.stats import leave_one_out_best

ENSEMBLES = (1, 3, 5)
TAUS = (1.0, 4.0, 8.0, 16.0)


def runs(d: Design) -> dict:
    halves = d.halves
    out = {("policy", 5, p, t): d.students(5, policy=p, temperature=t) for p, t in d.profile.cells}
    out |= {("policy", m, p, t): d.students(m, policy=p, temperature=t)
            for m in (1, 3) for p, t in d.profile.small_cells}
    for s in SETS:
        for m in ENSEMBLES:
            out["recycle", s, m, 4.0] = halves.recycled(s, m, 4.0)
        for t in TAUS[:3]:
            out["recycle", s, 3, t] = halves.recycled(s, 3, t)
    out |= {("tau", m, t): halves.students(m, teacher=d.profile.tau, temperature=t) for m in ENSEMBLES for t in TAUS}
    return out


def policy_table(r, metric, m=5):
    return r.table([("policy", m, p, t) for p, t in r.profile.cells], metric)


def chosen(r, metric) -> np.ndarray:
    """[trials] index into the profile's cells: the best policy by the mean over the other trials."""
    return leave_one_out_best(policy_table(r, metric))
