"""What every kind of run says of itself, and what several of them do alike."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from kdlib import metrics
from kdlib.models import build
from kdlib.spec import Student, Teacher
from kdlib.train import Diverged, too_large


@dataclass(frozen=True)
class Work:
    """What a run does: steps of its net with so many examples, and examples that only pass forward."""

    steps: int = 0
    batch: int = 0
    only_forward: int = 0

    @property
    def passes(self) -> int:
        """Forward passes of one example, of which a step takes three: about as long as a run takes, for nets alike."""
        return 3 * self.steps * self.batch + self.only_forward


@dataclass(frozen=True)
class Kind:
    """A kind of run: an entry of `runs.KINDS`.

    execute(specs of one cohort, weights_of, kept) gives for each (metrics, curves, weights), as `runs.execute` does.
    """

    execute: Callable
    priced: Callable  # spec -> what decides the cost of its steps (`cost.Priced`, or of its form)
    work: Callable  # spec -> Work
    holds: dict[str, str]  # what its record's metrics are, by name or, with {}, by pattern of names
    judge: Callable | None = None  # spec -> the same of what only passes forward, where that is by other nets
    cohort: Callable = lambda spec: None  # spec -> what runs that are executed together have in common; None: alone
    divides: Callable = lambda spec: True  # spec -> whether a cohort of it gains as much in parts, one a worker
    tried: Callable = lambda spec: None  # spec -> see that what it names works (`training.tried`), before any training
    spreads: bool = False  # over many devices, where it is alone
    starts_others: bool = False  # it is where one begins: a profile that commits weights commits its


def loaded(spec: Teacher | Student, weights_of):
    """The net of a finished run, on the CPU; `weights_of(spec)` gives its state dict."""
    net = build(spec.model, spec.data.name)
    net.load_state_dict(weights_of(spec))
    return net


def of_finite(spec, evaluate: Callable):
    """What a run's evaluation gives; Diverged where it is not finite. After its last step no loss shows that a net
    diverged: its logits do."""
    try:
        return evaluate()
    except metrics.NotFinite as error:
        raise Diverged(f"run {spec.key}: its {error} after the last step; lower its "
                       + too_large(getattr(spec, "training", spec))) from None


def on_cpu(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Its state dict, in memory of its own."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in net.state_dict().items()}
