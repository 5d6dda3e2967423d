"""Chapter 5, does size explain the gap? Labels (Fig 8), capacity (Fig 12), architecture (Fig 13), text and scale
(Table 2): A1-A4."""

from functools import partial

import numpy as np

from kdlib.experiments.design import POOL, Design, Setting, tested
from kdlib.spec import Data, Labels, Student, Teacher
from kdlib.stats import Claim, Part, leave_one_out_best

ENSEMBLES = (1, 3, 5)
CAPACITY_M = (1, 3)


def runs(d: Design) -> dict:
    p = d.profile
    out = {("capacity", m, teacher, student): d.students(m, teacher=teacher, model=student)
           for m in CAPACITY_M for teacher, student in p.capacity}
    out |= {("architecture", name, t): d.students(5, teacher=p.other, policy=name, temperature=t)
            for name, t in p.other_cells}
    for model in dict.fromkeys(teacher for teacher, _ in p.capacity):
        for m in CAPACITY_M:
            out["labels", model, m] = [Labels(teachers=d.members(trial, 0, m, model)) for trial in d.trials]
    for name, setting in (("text", p.text), ("imagenet", p.photos)):
        if setting:
            out |= {(name, m): [_elsewhere(setting, trial, m) for trial in d.trials] for m in ENSEMBLES}
    return out


def _elsewhere(s: Setting, trial, m):
    """Table 2: the student sees the teacher's own inputs."""
    data = Data(name=s.data, trial=trial, train=s.train, test=s.test)

    def teachers(first):
        return tuple(Teacher(data=data, model=s.model, training=s.teaching, member=first + i) for i in range(m))

    return Student(teachers=teachers(0), foil=teachers(POOL), model=s.model, training=s.training)


# Thresholds as in chapter 1: a gap is large above 5 points.

def a1(r) -> Claim:
    (small, large), (_, same) = r.profile.capacity[1], r.profile.capacity[0]
    equal, deeper = (r(("capacity", 3, small, s), "agreement") for s in (same, large))
    return Claim("A1", "Capacity does not explain the gap", "Fig 12", (
        Part("1 - test agreement, student larger than its teacher, m = 3", 1 - deeper, "above", 0.05, "points"),
        Part("share of the gap that the larger student closes, m = 3", (deeper - equal) / (1 - equal), "below", 0.5,
             "")))


def a2(r) -> Claim:
    table = r.table([("architecture", name, t) for name, t in r.profile.other_cells], "agreement")
    best = table[np.arange(len(table)), leave_one_out_best(table)]
    return Claim("A2", "Architecture does not explain the gap", "Fig 13", (
        Part(f"1 - test agreement, {r.profile.other}, best policy, m = 5", 1 - best, "above", 0.05, "points"),))


def a3(r) -> Claim:
    return Claim("A3", "Nor does scale: the gap is there in photographs", "Table 2, ImageNet", (
        Part("1 - test agreement, ImageNet, m = 5", r.gap(("imagenet", 5)), "above", 0.05, "points"),))


def a4(r) -> Claim:
    return Claim("A4", "Nor does the domain: the gap is there in text", "Table 2, IMDB", (
        Part("1 - test agreement, IMDB, m = 5", r.gap(("text", 5)), "above", 0.05, "points"),))


CLAIMS = {"A1": a1, "A2": a2, "A3": a3, "A4": a4}
claims = partial(tested, CLAIMS)
