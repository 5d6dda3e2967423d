"""The fidelity gap: Fig 1, Fig 2 and the independent-student baseline."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdlib.experiments.page import Chapter
from kdlib.experiments.profile import Profile, Task

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

ENSEMBLES = (1, 3, 5)  # members of a teacher, where nothing else is said


@dataclass(frozen=True)
class EasyTask:
    """A task on which distillation works (Fig 2)."""

    title: str
    row: str  # the name of its conditions
    task: Task
    unit: int  # inputs in a set of size 1
    sets: dict  # {size: what a student's set adds to its teacher's}, the largest last
    letters: dict = field(default_factory=dict)  # the same with letters among them


@dataclass(frozen=True)
class Settings:
    """The chapter's sizes in a profile."""

    factors: tuple  # distillation inputs, as multiples of the teacher's training set
    easy: EasyTask


def runs(d: "Design") -> dict:
    """All runs of the chapter: {condition: [one spec per trial]}."""
    return sizes(d) | generated(d) | easy(d)


CHAPTER = Chapter(1, "fidelity_gap", "The fidelity gap", runs, ("fidelity_gap",))


def sizes(d: "Design") -> dict:
    """Fig 1, for teachers of one, three and five members."""
    factors = d.profile.fidelity_gap.factors
    out: dict = {("size", m, f): d.students(m, f) for m in ENSEMBLES for f in factors}
    out["longer"] = d.students(1, factors[-1], times=10)
    out["teacher"] = [d.members(trial, 0, 1)[0] for trial in d.trials]
    return out


def generated(d: "Design") -> dict:
    """Fig 7, and beside Fig 1's fresh images what the paper added for want of them."""
    p = d.profile
    if not p.generator:
        return {}
    out: dict = {"generator": [d.generator(trial) for trial in d.trials]}
    if p.extra == "fresh":
        out |= {("gan", m, f): d.students(m, generated=(f - 1) * p.train)
                for m in (1, 3) for f in p.fidelity_gap.factors[1:]}
    return out


def easy(d: "Design") -> dict:
    """Fig 2: a teacher that sees little of an easy task, students that see more and more of it."""
    e = d.profile.fidelity_gap.easy
    return {(row, size): [d.elsewhere(e.task, trial, **more) for trial in d.trials]
            for row, sets in ((e.row, e.sets), (_with_letters(e), e.letters)) for size, more in sets.items()}


def easy_rows(p: Profile) -> list[tuple]:
    """The conditions of the easy task, (name, size), the largest last."""
    return [(p.fidelity_gap.easy.row, size) for size in p.fidelity_gap.easy.sets]


def letter_rows(p: Profile) -> list[tuple]:
    """Those with letters among the inputs, likewise."""
    return [(_with_letters(p.fidelity_gap.easy), size) for size in p.fidelity_gap.easy.letters]


def _with_letters(easy: EasyTask) -> str:
    return f"{easy.row} and letters"
