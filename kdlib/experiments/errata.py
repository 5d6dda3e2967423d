"""Errata: what defects of the official code do to NLL, CKA, Fig 5 and Fig 6b. It tests no claim of the paper."""

from typing import TYPE_CHECKING

from kdlib.catalog import net
from kdlib.experiments.optimization import LAMBDAS, scaled, toward
from kdlib.experiments.page import Chapter

if TYPE_CHECKING:
    from kdlib.experiments.design import Design



def runs(d: "Design") -> dict:
    """Students by lambda, chapter 2's and with the learning rate scaled; of nets with BatchNorm, "logged", those of
    the least and the most data with train agreement in train mode as well; under the other names, the defects of the
    earlier chapters' students."""
    p = d.profile
    out = {("lambda", x): toward(d, x) for x in LAMBDAS}
    out |= {("scaled", x): toward(d, x, training=scaled(d.training, x)) for x in LAMBDAS}
    ends = p.fidelity_gap.factors[0], p.fidelity_gap.factors[-1]
    if net(p.net).batchnorm:
        out |= {("logged", f): d.students(1, f, measures="all") for f in ends}
    students: dict = {("size", 1, f): d.students(1, f) for f in ends}
    students["teacher-initial"] = d.students(start="teacher-initial")
    students |= {("policy", 5, name, t): d.students(5, policy=name, temperature=t)
                 for name, t in p.distillation_data.recipes}
    return out | {name: d.defects(row) for name, row in students.items()}


CHAPTER = Chapter(8, "errata", "Errata", runs, ("fidelity_gap", "optimization", "distillation_data"))
