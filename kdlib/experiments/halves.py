"""The paper's own regime, halves of CIFAR-100: its Figures 9 and 4, cell by cell.

One random, class-balanced split of the 50,000 training images into D0 and D1, the same for all trials as in the
official code; trials differ in weights, order and augmentation, so that the other trials' ensembles, trained on the
same D0, are the unseen teachers of a trial.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdlib.experiments.page import Chapter
from kdlib.stats import Estimate

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

# Fig 9 as printed (PAPER, B.1), percent: {(m, tau): (test accuracy, test agreement)}
PAPER = {(1, 1.0): (59.38, 58.04), (1, 4.0): (61.33, 65.31), (3, 1.0): (59.65, 63.91), (3, 4.0): (62.78, 72.77)}
PILOT = 0  # the trial whose first teacher decides how long all others train; its runs are not recorded


@dataclass(frozen=True)
class Settings:
    """The chapter's sizes in a profile."""

    split: int  # the number of the division into halves, which all trials share
    members: int  # of the largest ensemble
    cells: tuple  # (m, temperature) of Fig 9
    enough: float  # accuracy of the pilot on D1: it is trained long enough


def runs(d: "Design") -> dict:
    """In the order in which they are trained; a part is recorded as soon as it is there."""
    teachers: dict = {("teacher", i): [d.members(trial, i, 1)[0] for trial in d.trials]
                      for i in range(d.profile.halves.members)}
    return (teachers | temperatures(d) | recycling(d, 1)
            | {("policy", 1, "mixup", 4.0): d.students(temperature=4.0, policy="mixup")} | recycling(d, 3))


CHAPTER = Chapter(10, "halves", "The paper's own regime", runs, ("halves",))


def temperatures(d: "Design") -> dict:
    """Fig 9."""
    return {("tau", m, t): d.students(m, temperature=t) for m, t in d.profile.halves.cells}


def recycling(d: "Design", m: int = 1) -> dict:
    """Fig 4 and the middle of Fig 5, at temperature 4; D0 is a cell of Fig 9 too."""
    return {("recycle", name, m, 4.0): d.recycled(name, m, 4.0) for name in ("D1", "D0+D1", "D0")}


# The paper's differences as targets, in points: (what, ours, printed).
TARGETS = tuple(
    (f"{metric}, {label}", one, other, metric, round(PAPER[one][i] - PAPER[other][i], 2))
    for i, metric in ((1, "agreement"), (0, "accuracy"))
    for label, one, other in (("tau = 4 minus 1, m = 1", (1, 4.0), (1, 1.0)),
                              ("tau = 4 minus 1, m = 3", (3, 4.0), (3, 1.0)),
                              ("m = 3 minus 1, tau = 1", (3, 1.0), (1, 1.0)),
                              ("m = 3 minus 1, tau = 4", (3, 4.0), (1, 4.0))))


def comes_out(ours: Estimate, printed: float) -> str:
    """Whether a difference of the paper comes out: if our interval contains it and not 0. One that contains both is too
    wide to tell; one that does not contain it lies above or below, or beyond 0."""
    if max(printed * ours.low, printed * ours.high) < 0:
        return "opposite sign"
    if not ours.low <= printed <= ours.high:
        return "higher here" if ours.low > printed else "lower here"
    return "open" if ours.low <= 0 <= ours.high else "comes out"
