"""What a step of a net costs, counted and timed on random data, before anything runs."""

import functools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from kdlib import catalog, losses
from kdlib.models import build
from kdlib.spec import Training
from kdlib.train import Source, fit

COHORT = 8  # runs advanced together: more gains nothing, and a kill loses the group in flight


@dataclass(frozen=True)
class Cost:
    """What runs of one net and batch size cost: FLOPs and bytes of one step, FLOPs of one label, bytes of weights,
    gradients and the moments of AdamW."""

    step_flops: int
    label_flops: int
    step_bytes: int
    state_bytes: int


@dataclass(frozen=True)
class Priced:
    """A net, on a data set, trained in batches of a size."""

    name: str
    data: str
    batch: int

    def cost(self) -> Cost:
        """Counted on one step of random data, forward and backward."""
        part = few(self.data, self.batch)
        stepping, labelling, kept, state = _counted_net(self.name, self.data, part)
        return Cost(stepping * self.batch // part, labelling // part, kept * self.batch // part, state)

    def seconds(self, steps: int = 60) -> float:
        """Of one step of one net here, on one thread, trained as the runs are: in a cohort where nets stack. Of a large
        net it takes fewer than `steps` steps."""
        part = few(self.data, self.batch)
        return _timed_net(self.name, self.data, part, steps) * self.batch / part


def of_run(spec) -> Priced:
    """What the net costs that a run trains or measures."""
    spec = spec.subject
    return Priced(spec.model, spec.data.name, spec.training.batch)


def made_up(data: str, n: int) -> torch.Tensor:
    """Random inputs [n, ...] of a data set's kind."""
    kind = catalog.data_set(data).inputs
    return torch.randint(kind.tokens, (n, *kind.shape)) if kind.tokens else torch.rand(n, *kind.shape)


def few(data: str, batch: int, width: int = 32) -> int:
    """How many inputs of a batch are enough to count and time a step: the rest of a large one is more of the same."""
    numbers = math.prod(catalog.data_set(data).inputs.shape)
    return min(batch, max(2, (1 << 22) // (width * numbers)))


def counted(step: Callable, *nets) -> tuple[int, int]:
    """FLOPs of `step()`, a real one (2 per multiply-add of matrix products), and bytes that it keeps for backward
    besides the weights of `nets`."""
    saved = []

    def keep(tensor):
        saved.append(tensor)
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    weights = {p.untyped_storage().data_ptr() for net in nets for p in net.parameters()}
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    return counter.get_total_flops(), sum(size for place, size in kept.items() if place not in weights)


def state_bytes(*nets) -> int:
    """Of weights, gradients, and the two moments of AdamW."""
    return 4 * sum(p.numel() * p.element_size() for net in nets for p in net.parameters())


@functools.cache
def _counted_net(model, data, n):
    net, x, known = build(model, data, "plan"), made_up(data, n), catalog.data_set(data)
    target = torch.randn(n, known.classes)
    # oneDNN's recurrent layers are one operation each, in which no product would be counted
    with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=not known.inputs.tokens):
        with torch.no_grad():
            labelling, _ = counted(lambda: net.eval()(x))
        stepping, kept = counted(lambda: losses.distillation(net.train()(x), target).mean().backward(), net)
    return stepping, labelling, kept, state_bytes(net)


@functools.cache
def _timed_net(model, data, batch, steps):
    g = COHORT if catalog.net(model).family.stackable else 1
    x, target = made_up(data, 2 * batch), torch.randn(2 * batch, catalog.data_set(data).classes)

    def seconds(count):
        nets = [build(model, data, "plan", i) for i in range(g)]
        sources = [Source("plan", len(x), lambda rows: (x[rows], target[rows]), torch.Generator()) for _ in nets]
        start = time.process_time()  # on a machine with other work the clock says little of a plan's hours
        fit(nets, Training(steps=count, batch=batch), sources, losses.distillation)
        return (time.process_time() - start) / count / g

    first = seconds(1)  # warms up
    return seconds(max(1, min(steps, round(2 / first / g))))
