"""From a spec to its result, by kind of run: a module each, and an entry here. What it gives is kept
by `store`."""

import torch.distributed as dist

from kdlib.devices import devices, in_words
from kdlib.runs import defects, generator, labels, student, surface, teacher
from kdlib.runs.kind import Kind, Work
from kdlib.runs.training import on_devices

KINDS = {"teacher": teacher.KIND, "generator": generator.KIND, "student": student.KIND, "surface": surface.KIND,
         "labels": labels.KIND, "defects": defects.KIND}


def kind_of(spec) -> Kind:
    """How a run is done."""
    return KINDS[spec.kind]


def check(specs) -> None:
    """See that nets, objectives and optimizers work, before anything is trained (`training.tried`)."""
    for spec in specs:
        kind_of(spec).tried(spec)


def cohort(spec):
    """Runs of equal cohort are best executed together; None: only alone."""
    return kind_of(spec).cohort(spec)


def divides(spec) -> bool:
    """Whether its cohort gains as much in parts, one a worker, as whole."""
    return kind_of(spec).divides(spec)


def work(spec) -> Work:
    """What it costs, whatever the net."""
    return kind_of(spec).work(spec)


def execute(specs, weights_of, kept=None) -> list[tuple[dict, dict, dict | None]]:
    """Run specs of one cohort. `weights_of(spec)` gives the weights (a state dict) of a run that they need; `kept`
    keeps the state of a long run (`train.fit`).

    Returns for each (metrics, curves, weights): plain numbers, plain lists, and the final weights or None.
    """
    if _spread(specs[0]) and not dist.is_initialized():
        weights = {needed: weights_of(needed) for spec in specs for needed in spec.needs}
        return on_devices(execute, specs, weights, kept)
    return kind_of(specs[0]).execute(specs, weights_of, kept)


def place(spec) -> str:
    """The devices of a run, for its record: "cpu", "2 x cuda"."""
    return in_words(devices() if _spread(spec) else 1)


def _spread(spec):
    return kind_of(spec).spreads and devices() > 1 and cohort(spec) is None
