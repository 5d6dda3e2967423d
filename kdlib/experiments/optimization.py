"""Optimization: Fig 5, Fig 6a-c, Table 1 (O1-O6)."""

from kdlib.experiments.design import SETS, Design

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
