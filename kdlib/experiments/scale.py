"""Does size explain the gap? Labels (Fig 8), capacity (Fig 12), architecture (Fig 13), text and scale
(Table 2): A1-A4."""

from kdlib.experiments.design import POOL, Design, Setting
from kdlib.spec import Data, Labels, Student, Teacher

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
