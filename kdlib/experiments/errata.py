"""Errata: what defects of the official code do to NLL, CKA and Fig 6b. It tests no claim of the paper."""

from typing import TYPE_CHECKING

from kdlib.experiments.optimization import LAMBDAS, scaled, toward
from kdlib.experiments.page import Chapter

if TYPE_CHECKING:
    from kdlib.experiments.design import Design



def runs(d: "Design") -> dict:
    """Students by lambda, chapter 2's and with the learning rate scaled; under the other names, the defects of the
    earlier chapters' students."""
    p = d.profile
    out = {("lambda", x): toward(d, x) for x in LAMBDAS}
    out |= {("scaled", x): toward(d, x, training=scaled(d.training, x)) for x in LAMBDAS}
    students: dict = {("size", 1, f): d.students(1, f) for f in (p.fidelity_gap.factors[0], p.fidelity_gap.factors[-1])}
    students["teacher-initial"] = d.students(start="teacher-initial")
    students |= {("policy", 5, name, t): d.students(5, policy=name, temperature=t)
                 for name, t in p.distillation_data.recipes}
    return out | {name: d.defects(row) for name, row in students.items()}


CHAPTER = Chapter(8, "errata", "Errata", runs, ("fidelity_gap", "optimization", "distillation_data"))
