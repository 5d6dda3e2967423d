"""The sizes of the experiment: what all chapters of a profile share, and the settings of each.

There is a file for each in `profiles/`; `book/sizes.md` tells how its sizes
were chosen.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kdlib.spec import Initialization, Training

if TYPE_CHECKING:
    from kdlib.experiments import distillation_data, fidelity_gap, halves, optimization, paradox, scale


@dataclass(frozen=True)
class Task:
    """A task beside the profile's own: data of another kind, with a net and recipes for them (Fig 2, Table 2)."""

    data_set: str
    train: int
    test: int
    net: str
    teaching: Training
    training: Training


# What it is for: "check", to prove that everything runs; "live", what a reader trains, and every command's usual one;
# "verdicts", what those on signals rest on; "real", every figure once on real data; "regime", the paper's own within
# reach; "paper", the paper's sizes. One profile each.
Role = Literal["check", "live", "verdicts", "real", "regime", "paper"]
FIRST = 5  # the first trial that was not looked at while sizes were chosen
ABSENT: Any = None  # settings of a chapter that a profile does not have: it has no runs of it (`Chapter.runs`)


@dataclass(frozen=True)
class Profile:
    """All sizes of the experiment."""

    name: str
    role: Role
    where: str  # its claims stand, in a reader's words
    seeds: int  # trials
    data_set: str
    train: int  # the teacher's training inputs
    test: int
    net: str
    teaching: Training  # of a teacher
    training: Training  # of a student
    # each chapter's own
    fidelity_gap: "fidelity_gap.Settings" = ABSENT
    optimization: "optimization.Settings" = ABSENT
    distillation_data: "distillation_data.Settings" = ABSENT
    paradox: "paradox.Settings" = ABSENT
    scale: "scale.Settings" = ABSENT
    halves: "halves.Settings" = ABSENT
    draw: Initialization = "torch"  # of the weights of nets on the profile's own data
    first: int = FIRST  # the number of its first trial
    live: int | None = None  # how many of its trials a page trains that shows the recorded ones; None: all
    demonstrates: bool = True  # what figures show; else it has only what claims rest on, and nothing live
    compact: bool = False  # its records are one compressed file of metrics alone
    every_foil: bool = False  # a student is compared with all ensembles of its trial's pool that it never sees
    measures: Literal["function", "paper", "all"] = "paper"  # which metrics a student has (`spec.Student`)
    extra: Literal["fresh", "generated"] = "fresh"  # what more distillation inputs than the teacher's are
    epochs: int = 0  # of a student, over its own set; 0: as many steps whatever the set
    weights: bool = False  # of teachers are committed with their records
    generator: dict = field(default_factory=dict)  # the sizes of the SN-GAN that makes images, where it does
    benchmark: str = ""  # what its teachers are called there (`kdlib benchmark`); none: they are not asked
    anew: bool = False  # whether its images are others in every batch, as in the official code
