"""Does size explain the gap? Labels (Fig 8), capacity (Fig 12), architecture (Fig 13), text, photographs (Table 2)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdlib.experiments.fidelity_gap import ENSEMBLES
from kdlib.experiments.page import Chapter
from kdlib.experiments.profile import Task
from kdlib.spec import Labels, Training

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

CAPACITY_M = (1, 3)


@dataclass(frozen=True)
class Another:
    """Another architecture (Fig 13)."""

    net: str
    recipes: tuple  # (policy, temperature)
    teaching: Training
    training: Training


@dataclass(frozen=True)
class Settings:
    """The chapter's sizes in a profile."""

    capacity: tuple  # Fig 12: (teacher, student), the second of each two the larger
    another: Another
    text: Task | None = None  # Table 2: IMDB
    photographs: Task | None = None  # Table 2: ImageNet


def runs(d: "Design") -> dict:
    """All runs of the chapter: {condition: [one spec per trial]}."""
    return capacity(d) | architecture(d) | labels(d) | other_domains(d)


CHAPTER = Chapter(5, "scale", "Size, architecture, labels", runs, ("scale",))


def capacity(d: "Design") -> dict:
    """Fig 12."""
    return {("capacity", m, teacher, student): d.students(m, teacher=teacher, model=student)
            for m in CAPACITY_M for teacher, student in d.profile.scale.capacity}


def architecture(d: "Design") -> dict:
    """Fig 13."""
    a = d.profile.scale.another
    return {("architecture", name, t): d.students(5, teacher=a.net, teaching=a.teaching, training=a.training,
                                                  draw="torch", policy=name, temperature=t) for name, t in a.recipes}


def labels(d: "Design") -> dict:
    """Fig 8: what the teachers of Fig 12 say of a few inputs, and how sure they are."""
    return {("labels", net, m): [Labels(teachers=d.members(trial, 0, m, net)) for trial in d.trials]
            for net in dict.fromkeys(teacher for teacher, _ in d.profile.scale.capacity) for m in CAPACITY_M}


def other_domains(d: "Design") -> dict:
    """Table 2; the student sees the teacher's own inputs."""
    s = d.profile.scale
    return {(name, m): [d.elsewhere(task, trial, m) for trial in d.trials]
            for name, task in (("text", s.text), ("photographs", s.photographs)) if task for m in ENSEMBLES}
