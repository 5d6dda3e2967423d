"""Errata: what defects of the official code do to NLL, CKA and Fig 6b. It tests no claim of the paper."""

from typing import TYPE_CHECKING

from kdlib.experiments.optimization import LAMBDAS, toward
from kdlib.spec import Training

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

FLOOR = 1e-6  # the least learning rate to which the official code scales


def runs(d: "Design") -> dict:
    """Students by lambda, chapter 2's and with the learning rate scaled; under the other names, the defects of the
    earlier chapters' students."""
    p = d.profile
    out = {("lambda", x): toward(d, x) for x in LAMBDAS}
    out |= {("scaled", x): toward(d, x, training=scaled(d.training, x)) for x in LAMBDAS}
    students: dict = {("size", 1, f): d.students(1, f) for f in (p.gap.factors[0], p.gap.factors[-1])}
    students["teacher-initial"] = d.students(start="teacher-initial")
    students |= {("policy", 5, name, t): d.students(5, policy=name, temperature=t)
                 for name, t in p.distillation_data.recipes}
    return out | {name: d.defects(row) for name, row in students.items()}


def scaled(training: Training, toward_teacher: float) -> Training:
    """The learning rate times the distance that is left, as in the official code's Fig 6b."""
    return training.but(lr=max(training.lr * (1 - toward_teacher), FLOOR))
