"""Chapter 3, the data: augmentation policies (Fig 3, 11), recycling (Fig 4), temperature by ensemble size (Fig 9)."""

from functools import partial

import numpy as np

from kdlib.experiments.design import SETS, Design, tested
from kdlib.stats import Claim, Part, leave_one_out_best

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


# Policies are compared at m = 5; the best is always chosen on other trials than it is judged on.

def _cell(r, p, t, metric="agreement"):
    return r(("policy", 5, p, t), metric)


def p5(r) -> Claim:
    agree, accurate = policy_table(r, "agreement"), policy_table(r, "accuracy")
    trial, faithful, best = np.arange(len(agree)), chosen(r, "agreement"), chosen(r, "accuracy")
    return Claim("P5", "The most accurate student is not the most faithful", "Fig 3, 4", (
        Part("agreement, most faithful minus most accurate policy", agree[trial, faithful] - agree[trial, best],
             "above", 0, "points"),
        Part("accuracy, most accurate minus most faithful policy", accurate[trial, best] - accurate[trial, faithful],
             "above", 0, "points")))


def d1(r) -> Claim:
    return Claim("D1", "Temperature 4 beats 1 in fidelity", "Fig 3, 4, 9", (
        Part("test agreement, tau = 4 minus 1, baseline, m = 5", _cell(r, "baseline", 4.0) - _cell(r, "baseline", 1.0),
             "above", 0, "points"),))


def d2(r) -> Claim:
    agree, mixup = policy_table(r, "agreement"), _cell(r, "mixup", 4.0)
    others = [i for i, c in enumerate(r.profile.cells) if c != ("mixup", 4.0)]
    runner_up = np.array(others)[leave_one_out_best(agree[:, others])]
    return Claim("D2", "Mixup at tau = 4 is the most faithful policy, baseline at 4 close behind", "Fig 3", (
        Part("test agreement, mixup tau = 4 minus the best other", mixup - agree[np.arange(len(agree)), runner_up],
             "above", 0, "points"),
        Part("test agreement, mixup minus baseline, tau = 4", mixup - _cell(r, "baseline", 4.0), "within", 0.03,
             "points")))


def d3(r) -> Claim:
    return Claim("D3", "Noise and out-of-domain data hurt", "Fig 3", tuple(
        Part(f"{label}, {p} minus baseline, tau = 1", _cell(r, p, 1.0, metric) - _cell(r, "baseline", 1.0, metric),
             "below", 0, "points")
        for p in ("noise", "ood") for metric, label in (("agreement", "test agreement"), ("accuracy", "accuracy"))))


def d4(r) -> Claim:
    def over(one, other, metric):
        return r(("recycle", one, 3, 4.0), metric) - r(("recycle", other, 3, 4.0), metric)

    return Claim("D4", "Recycling: D1 more faithful, D0 more accurate, D0+D1 best", "Fig 4", (
        Part("agreement, D1 minus D0", over("D1", "D0", "agreement"), "above", 0, "points"),
        Part("accuracy, D0 minus D1", over("D0", "D1", "accuracy"), "above", 0, "points"),
        Part("agreement, D0+D1 minus D1", over("D0+D1", "D1", "agreement"), "above", 0, "points")))


CLAIMS = {"P5": p5, "D1": d1, "D2": d2, "D3": d3, "D4": d4}
claims = partial(tested, CLAIMS)
