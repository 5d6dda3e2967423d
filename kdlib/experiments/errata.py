"""Chapter 9, errata: what defects of the official code do to NLL, CKA and Fig 6b. It tests no claim of the paper."""

from kdlib.experiments.design import Design
from kdlib.experiments.optimization import LAMBDAS
from kdlib.spec import Training
from kdlib.stats import Claim

FLOOR = 1e-6  # the least learning rate to which the official code scales


def runs(d: Design) -> dict:
    """Students by lambda, chapter 2's and with the learning rate scaled; under the other names, the defects of the
    earlier chapters' students."""
    p, near = d.profile, {"factor": d.profile.wide_set, "teacher": d.profile.plain}
    out = {("lambda", x): d.students(toward_teacher=x, **near) for x in LAMBDAS}
    out |= {("scaled", x): d.students(toward_teacher=x, training=scaled(d.training, x), **near) for x in LAMBDAS}
    students = {("size", 1, f): d.students(1, f) for f in (p.factors[0], p.factors[-1])}
    students["teacher-initial"] = d.students(start="teacher-initial")
    students |= {("policy", 5, name, t): d.students(5, policy=name, temperature=t) for name, t in p.cells}
    return out | {name: d.defects(row) for name, row in students.items()}


def scaled(training: Training, toward_teacher: float) -> Training:
    """The learning rate times the distance that is left, as in the official code's Fig 6b."""
    return training.model_copy(update={"lr": max(training.lr * (1 - toward_teacher), FLOOR)})


def claims(r) -> list[Claim]:
    return []
