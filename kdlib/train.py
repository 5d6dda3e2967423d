"""The one training loop, for teachers and students alike."""

import ctypes
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn as nn

from kdlib import catalog
from kdlib.errors import KdlibError
from kdlib.models import Together, laid_for
from kdlib.spec import Training
from kdlib.streams import GlobalStream, seed_of

BLOCK = 20  # batches prepared at once: augmentation and teacher labels cost one call per block, not per step
CURVE = 20  # points of the recorded loss curve


class Diverged(KdlibError):
    """The loss became infinite or NaN."""


def steady_process() -> None:
    """Make this process a worker: one thread, with which equal specs give equal bits and two small runs beat one on two
    threads; and freed memory kept for the next step, where the C library is glibc. By itself that gives large blocks
    back to the system and gets them again, zeroed, at every layer: a tenth of a ResNet's time."""
    torch.set_num_threads(1)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt:
        mallopt(-3, 2**30)  # M_MMAP_THRESHOLD: blocks of a batch come from the heap
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: whose free top stays


def learning_rate(training: Training, step: int) -> float:
    """Of step 0, 1, ...: linear warm-up to `lr`, then cosine to `final_lr` (paper, A.3)."""
    if step < training.warmup:
        return training.lr * (step + 1) / training.warmup
    angle = math.pi * (step - training.warmup) / (training.steps - training.warmup)
    return training.final_lr + (training.lr - training.final_lr) * 0.5 * (1 + math.cos(angle))


class Batches:
    """Row indices of shuffled epochs, one after another; a batch may span two of them."""

    def __init__(self, n: int, batch: int, generator: torch.Generator):
        if n < 1:
            raise ValueError("there is nothing to train on: the set is empty")
        self.n, self.batch, self.generator = n, batch, generator
        self.left = torch.empty(0, dtype=torch.long)

    def take(self, k: int) -> torch.Tensor:
        """The rows [k * batch] of the next k batches."""
        while len(self.left) < k * self.batch:
            self.left = torch.cat([self.left, torch.randperm(self.n, generator=self.generator)])
        rows, self.left = self.left[: k * self.batch], self.left[k * self.batch :]
        return rows


@dataclass(frozen=True)
class Source:
    """Where one run's batches come from.

    prepare(rows [k]) -> tuple of tensors [k, ...], the inputs first; called for a `block` of batches at once. `draws`
    is the random stream that `prepare` uses, if it uses one: with `order` all that must be kept to go on later.
    `inside` names the stream of what the net itself draws in training (dropout), which begins anew at every step.
    """

    name: str
    n: int
    prepare: Callable
    order: torch.Generator
    draws: torch.Generator | None = None
    inside: tuple = ("inside",)
    block: int = BLOCK


def share(n: int) -> slice:
    """Which of n rows are this process's: all of them, or, where it is a rank of a run on many devices, its part."""
    if not dist.is_initialized():
        return slice(0, n)
    rank, ranks = dist.get_rank(), dist.get_world_size()
    return slice(n * rank // ranks, n * (rank + 1) // ranks)


def add_up(tensor: torch.Tensor) -> None:
    """Replace a tensor by its sum over all ranks, on every rank the same bits; alone: leave it."""
    if dist.is_initialized():
        dist.all_reduce(tensor)


def fit(nets: list[nn.Module], training: Training, sources: list[Source], loss: Callable | list[Callable], kept=None
        ) -> list[list[float]]:
    """Train g nets in place, net i on source i, and return their loss curves (20 means over equal parts of the run).

    loss(logits [k, c], *rest of a source's tuple) -> [k] per-example losses; each net minimises its own mean. A list
    has a loss for each net. Sources of one `order` see the same batches: they are prepared once, by the first of them.
    The nets advance together, which for small ones is about twice as fast, and end with the same bits as alone.

    `kept` keeps the state of a long run every few minutes, as a dict of CPU tensors (`store.KeptState`: `load()`,
    `due()`, `save(tensors)`); a run that goes on from it ends with the same bits as one that was never interrupted.

    On many devices (`runs.execute`) every rank calls this alike: it draws the same batches from the same streams, takes
    its share of each, and the gradients are added up, so that the result is that of one device but for rounding. Only
    BatchNorm differs: it normalises each device's share by itself, and the running statistics are those of rank 0.

    ValueError where there is nothing to train on, or nets that cannot be trained together (`models.Together`); Diverged
    names the step where a loss becomes infinite or NaN.
    """
    run = _Run(nets, training, sources)
    state = kept.load() if kept else None
    if state:
        run.restore(state)
    while run.step < training.steps:
        k = min(training.steps - run.step, *(source.block for source in sources))
        run.advance(k, loss)
        if kept and run.step < training.steps and share(1).stop == 1 and kept.due():  # of many ranks, the last
            kept.save(run.state())
    if dist.is_initialized():
        for buffer in run.together.nets.buffers():
            dist.broadcast(buffer, 0)
    run.together.eval()
    run.together.part()
    return [curve(row) for row in run.losses]


def curve(losses: torch.Tensor) -> list[float]:
    """Means over up to 20 equal parts of a run, from the losses [steps] of its steps."""
    return [float(part.mean()) for part in losses.chunk(min(CURVE, len(losses)))]


class _Run:
    """All that changes while nets train: weights, optimizer, position, random streams."""

    def __init__(self, nets, training, sources):
        self.training, self.sources, self.step = training, sources, 0
        self.together = Together(nets)
        flat = self.together.flat
        known = catalog.OPTIMIZERS[training.optimizer]
        self.optimizer = catalog.code(known.code, "train")(
            [flat], lr=training.lr, weight_decay=training.weight_decay, **known.always,
            **{name: getattr(training, name) for name in known.chosen})
        self.batches = [Batches(source.n, training.batch, source.order) for source in sources]
        first = {}
        self.of = [first.setdefault(id(source.order), i) for i, source in enumerate(sources)]  # whose batches it sees
        self.losses = torch.zeros(len(nets), training.steps, device=flat.device)
        self.together.train()

    def advance(self, k, loss):
        """k steps. Augmentation and teachers' labels cost one call for all of them."""
        training = self.training
        prepared = {i: self.sources[i].prepare(self.batches[i].take(k)) for i in dict.fromkeys(self.of)}
        start, mine = self.step, share(training.batch)
        block = [torch.stack(parts).unflatten(1, (k, -1))[:, :, mine].unbind(1)
                 for parts in zip(*(prepared[i] for i in self.of), strict=True)]
        with GlobalStream(self.together.flat.device) as inside:
            for x, *rest in zip(*block, strict=True):
                self._one(loss, x, rest, lambda i: inside.seed(seed_of(*self.sources[i].inside, self.step, mine.start)))
            if self.together.stacked is not None and inside.touched():
                raise ValueError("a net that draws random numbers by itself (dropout) cannot be stackable")
        add_up(self.losses[:, start : self.step])
        # checked once per block: a check per step would wait for the device every time
        finite = torch.isfinite(self.losses[:, start : self.step])
        if not finite.all():
            row, bad = (~finite).nonzero()[0].tolist()
            raise Diverged(f"run {self.sources[row].name}: the loss became non-finite at step {start + bad} of "
                           f"{training.steps}; lower its learning rate ({training.lr:g})")

    def _one(self, loss, x, rest, before):
        """One step on a batch [g, n, ...] of each net; `before(i)` is called before net i draws anything."""
        training, flat = self.training, self.together.flat
        self.optimizer.param_groups[0]["lr"] = learning_rate(training, self.step)
        flat.grad.zero_()
        logits = self.together(x, before)
        if callable(loss):
            values = loss(logits.flatten(0, 1), *(part.flatten(0, 1) for part in rest))
        else:
            values = torch.cat([one(*parts) for one, *parts in zip(loss, logits, *rest, strict=True)])
        means = values.view(len(self.sources), -1).mean(1)
        if len(values) < len(self.sources) * training.batch:
            means = means * (len(values) / training.batch)
        means.sum().backward()
        add_up(flat.grad)  # one call: a wrapper's own gradient buckets would part the gradients from this vector
        self.optimizer.step()
        self.losses[:, self.step] = means.detach()
        self.step += 1

    def state(self) -> dict[str, torch.Tensor]:
        """Everything, as CPU tensors."""
        tensors = {"step": torch.tensor(self.step), "weights": self.together.flat, "losses": self.losses}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state[self.together.flat].items()}
        tensors |= {f"buffer.{name}": value for name, value in self.together.nets.named_buffers()}
        for i, (source, batches) in enumerate(zip(self.sources, self.batches, strict=True)):
            tensors |= {f"left.{i}": batches.left, f"order.{i}": source.order.get_state()}
            if source.draws is not None:
                tensors[f"draws.{i}"] = source.draws.get_state()
        return {name: value.detach().cpu().clone() for name, value in tensors.items()}

    def restore(self, tensors):
        """Go on from what `state` gave."""
        flat = self.together.flat
        self.step = int(tensors["step"])
        self.losses.copy_(tensors["losses"])
        flat.data.copy_(tensors["weights"])
        self.optimizer.state[flat] = {name.removeprefix("optimizer."): value.to(flat.device)
                                      for name, value in tensors.items() if name.startswith("optimizer.")}
        for name, value in self.together.nets.named_buffers():
            value.copy_(tensors[f"buffer.{name}"])
        for i, (source, batches) in enumerate(zip(self.sources, self.batches, strict=True)):
            batches.left = tensors[f"left.{i}"]
            source.order.set_state(tensors[f"order.{i}"])
            if source.draws is not None:
                source.draws.set_state(tensors[f"draws.{i}"])


@torch.no_grad()
def logits_of(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Logits [n, c] of a whole set x [n, ...], in eval mode; never averaged by batch. ValueError where it is empty."""
    if len(x) == 0:
        raise ValueError("there are no inputs to ask a net about")
    # as many as the cache takes: the maps of 1,000 colour images do not fit, and labelling takes twice as long
    chunk = 1000 if x[0].numel() <= 1000 else 64
    was = net.training
    net.eval()
    mine = share(len(x))
    out = torch.cat([net(laid_for(net, part)) for part in x[mine].split(chunk)])
    if len(out) < len(x):
        out, part = out.new_zeros(len(x), *out.shape[1:]), out
        out[mine] = part
        add_up(out)
    net.train(was)
    return out
