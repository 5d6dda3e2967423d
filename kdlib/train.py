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
from kdlib.models import Together, evaluated, laid_for
from kdlib.spec import Training
from kdlib.streams import GlobalStream, seed_of

BLOCK = 20  # batches prepared at once: augmentation and teacher labels cost one call per block, not per step
CURVE = 20  # points of the recorded loss curve


def too_large(training) -> str:
    """What makes a training diverge: its weight decay, where that is above 1 and alone moves a weight further than to
    its opposite; else its learning rate."""
    decay = getattr(training, "weight_decay", 0)
    return f"weight decay ({decay:g})" if decay > max(1, 2 / training.lr) else f"learning rate ({training.lr:g})"


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


class Arriving:
    """Batches that come as they like: there are no rows to take."""

    left = torch.empty(0, dtype=torch.long)

    def take(self, k: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Source:
    """Where one run's batches come from.

    prepare(rows [k]) -> tuple of tensors [k, ...], the inputs first; called for a `block` of batches at once. `draws`
    is the random stream that `prepare` uses, if it uses one: with `order` all that must be kept to go on later. Without
    an `order`, batches come as they like, one a block: prepare(None) gives the next, of whatever size.
    `inside` names the stream of what the net itself draws in training (dropout), which begins anew at every step.
    """

    name: str
    n: int
    prepare: Callable
    order: torch.Generator | None
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


def fit(nets: list[nn.Module], training: Training, sources: list[Source], loss: Callable | list[Callable], kept=None,
        optimizer: Callable | None = None, progress: Callable | None = None) -> list[list[float]]:
    """Train g nets in place, net i on source i, and return their loss curves (20 means over equal parts of the run).

    loss(logits [k, c], *rest of a source's tuple) -> [k] per-example losses; each net minimises its own mean. A list
    has a loss for each net. Sources of one `order` see the same batches: they are prepared once, by the first of them.
    The nets advance together, which for small ones is about twice as fast, and end with the same bits as alone.

    `kept` keeps the state of a long run every few minutes, as a dict of CPU tensors (`store.KeptState`: `load()`,
    `due()`, `save(tensors)`); a run that goes on from it ends with the same bits as one that was never interrupted. Of
    an optimizer of a net's own parameters nothing is kept: nobody knows what it is made of.

    The nets' weights are one vector to an optimizer of the catalog. One `by_net` has a net's own parameters, views of
    that vector, in its groups; the learning rate of each follows the schedule. `optimizer(vector, nets)` gives others
    than the training's, a list. `progress(steps, their mean loss)` is called after every block.

    On many devices (`runs.execute`) every rank calls this alike: it draws the same batches from the same streams, takes
    its share of each, and the gradients are added up, so that the result is that of one device but for rounding. Only
    BatchNorm differs: it normalises each device's share by itself, and the running statistics are those of rank 0.

    ValueError where there is nothing to train on, or nets that cannot be trained together (`models.Together`); Diverged
    names the step where a loss becomes infinite or NaN.
    """
    run = _Run(nets, training, sources, optimizer)
    kept = kept if run.keeps else None
    try:
        state = kept.load() if kept else None
        if state:
            run.restore(state)
        while run.step < training.steps:
            k = min(training.steps - run.step, *(source.block for source in sources))
            run.advance(k, loss)
            if progress:
                progress(k, float(run.losses[:, run.step - k : run.step].mean()))
            if kept and run.step < training.steps and share(1).stop == 1 and kept.due():  # of many ranks, the last
                kept.save(run.state())
        if dist.is_initialized():
            for buffer in run.together.nets.buffers():
                dist.broadcast(buffer, 0)
        run.together.eval()
    finally:
        run.together.part()
    return [curve(row) for row in run.losses]


def curve(losses: torch.Tensor) -> list[float]:
    """Means over up to 20 equal parts of a run, from the losses [steps] of its steps."""
    return [float(part.mean()) for part in losses.chunk(min(CURVE, len(losses)))]


def optimizers(name: str, training: Training, flat: nn.Parameter, nets: list[nn.Module]
               ) -> list[torch.optim.Optimizer]:
    """Those of that name in the catalog: one of all weights as a vector, or one or more of each net."""
    chosen = catalog.optimizer(name)
    known, given = chosen.here(), {"lr": training.lr, "weight_decay": training.weight_decay}
    make = catalog.code(known.code, "train")
    if not known.by_net:
        return [make([flat], **given, **known.always, **{name: getattr(training, name) for name in known.chosen})]
    made = []
    for net in nets:
        own = make(net, **given, **chosen.options)
        made += own if isinstance(own, list | tuple) else [own]
    return made


class _Run:
    """All that changes while nets train: weights, optimizer, position, random streams."""

    def __init__(self, nets, training, sources, optimizer=None):
        self.training, self.sources, self.step = training, sources, 0
        self.together = Together(nets)
        flat = self.together.flat
        self.optimizers = optimizer(flat, nets) if optimizer else optimizers(training.optimizer, training, flat, nets)
        self.keeps = self.optimizers[0].param_groups[0]["params"][0] is flat
        self.rates = [[group.get("lr") for group in one.param_groups] for one in self.optimizers]
        self.batches = [Batches(source.n, training.batch, source.order) if source.order else Arriving()
                        for source in sources]
        first = {}
        self.of = [first.setdefault(id(source.order), i) for i, source in enumerate(sources)]  # whose batches it sees
        self.losses = torch.zeros(len(nets), training.steps, device=flat.device)
        self.together.train()

    def advance(self, k, loss):
        """k steps. Augmentation and teachers' labels cost one call for all of them."""
        training = self.training
        prepared = {i: self.sources[i].prepare(self.batches[i].take(k)) for i in dict.fromkeys(self.of)}
        block = [torch.stack(parts).unflatten(1, (k, -1))
                 for parts in zip(*(prepared[i] for i in self.of), strict=True)]
        start, whole = self.step, block[0].shape[2]
        mine = share(whole)
        block = [parts[:, :, mine].unbind(1) for parts in block]
        with GlobalStream(self.together.flat.device) as inside:
            for x, *rest in zip(*block, strict=True):
                self._one(loss, x, rest, whole,
                          lambda i: inside.seed(seed_of(*self.sources[i].inside, self.step, mine.start)))
            if self.together.stacked is not None and inside.touched():
                raise ValueError("a net that draws random numbers by itself (dropout) cannot be stackable")
        add_up(self.losses[:, start : self.step])
        # checked once per block: a check per step would wait for the device every time
        finite = torch.isfinite(self.losses[:, start : self.step])
        if not finite.all():
            row, bad = (~finite).nonzero()[0].tolist()
            raise Diverged(f"run {self.sources[row].name}: the loss became non-finite at step {start + bad} of "
                           f"{training.steps}; lower its {too_large(training)}")

    def _one(self, loss, x, rest, whole, before):
        """One step on a batch [g, n, ...] of each net, or this rank's share of its `whole` number of examples;
        `before(i)` is called before net i draws anything."""
        flat, rate = self.together.flat, learning_rate(self.training, self.step)
        for one, usual in zip(self.optimizers, self.rates, strict=True):
            for group, own in zip(one.param_groups, usual, strict=True):
                if own is not None:
                    group["lr"] = rate * (own / self.training.lr)
        flat.grad.zero_()
        logits = self.together(x, before)
        if callable(loss):
            values = loss(logits.flatten(0, 1), *(part.flatten(0, 1) for part in rest))
        else:
            values = torch.cat([one(*parts) for one, *parts in zip(loss, logits, *rest, strict=True)])
        means = values.view(len(self.sources), -1).mean(1)
        if len(values) < len(self.sources) * whole:
            means = means * (len(values) / whole)
        means.sum().backward()
        add_up(flat.grad)  # one call: a wrapper's own gradient buckets would part the gradients from this vector
        for one in self.optimizers:
            one.step()
        self.losses[:, self.step] = means.detach()
        self.step += 1

    def state(self) -> dict[str, torch.Tensor]:
        """Everything, as CPU tensors."""
        tensors = {"step": torch.tensor(self.step), "weights": self.together.flat, "losses": self.losses}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizers[0].state[self.together.flat].items()}
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
        self.optimizers[0].state[flat] = {name.removeprefix("optimizer."): value.to(flat.device)
                                      for name, value in tensors.items() if name.startswith("optimizer.")}
        for name, value in self.together.nets.named_buffers():
            value.copy_(tensors[f"buffer.{name}"])
        for i, (source, batches) in enumerate(zip(self.sources, self.batches, strict=True)):
            batches.left = tensors[f"left.{i}"]
            source.order.set_state(tensors[f"order.{i}"])
            if source.draws is not None:
                source.draws.set_state(tensors[f"draws.{i}"])


class Unusable(KdlibError, ValueError):
    """A net or an objective that fails on a batch, before anything is trained."""


def tried(net: nn.Module, loss: Callable, x: torch.Tensor, teacher_logits: torch.Tensor, *labels: torch.Tensor,
          name: str = "the student", objective: str = "the objective") -> None:
    """See whether a net, in eval mode, and a loss do what `fit` needs of them, on a batch x [n, ...] and teacher's
    logits [n, classes]; the net stays as it is. Unusable says what they do not."""
    with evaluated([net]):
        try:
            z = net(laid_for(net, x))
        except Exception as error:
            raise Unusable(f"{name} fails on a batch {list(x.shape)} of {x.dtype}: {first_line(error)}") from error
    z = getattr(z, "logits", z)
    if not isinstance(z, torch.Tensor) or z.shape != teacher_logits.shape:
        got = list(z.shape) if isinstance(z, torch.Tensor) else type(z).__name__
        raise Unusable(f"{name} must give logits {list(teacher_logits.shape)}, as its teacher does, for {len(x)} "
                       f"inputs (got {got})")
    z = z.detach().clone().requires_grad_()
    try:
        values = loss(z, teacher_logits, *labels)
        if not isinstance(values, torch.Tensor) or values.shape != (len(x),):
            got = list(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise Unusable(f"{objective} must give one number an example, [{len(x)}] (got {got}): the mean over them "
                           "is taken by the loop")
        if not values.requires_grad:
            raise Unusable(f"{objective} does not depend on the student's logits by torch's operations: no slope")
        values.sum().backward()
    except Unusable:
        raise
    except Exception as error:
        raise Unusable(f"{objective} fails on logits {list(z.shape)}: {first_line(error)}") from error
    if z.grad is None or not (torch.isfinite(values).all() and torch.isfinite(z.grad).all()):
        raise Unusable(f"{objective} gives NaN or infinity, or a slope of them, on the first batch")


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def chunk(x: torch.Tensor) -> int:
    """How many inputs a net is asked about at once: as many as the cache takes. The maps of 1,000 colour images do not
    fit, and labelling takes twice as long."""
    return 1000 if x[0].numel() <= 1000 else 64


@torch.no_grad()
def logits_of(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Logits [n, c] of a whole set x [n, ...], in eval mode; never averaged by batch. ValueError where it is empty."""
    if len(x) == 0:
        raise ValueError("there are no inputs to ask a net about")
    was, size = net.training, chunk(x)
    net.eval()
    mine = share(len(x))
    out = torch.cat([net(laid_for(net, part)) for part in x[mine].split(size)])
    if len(out) < len(x):
        out, part = out.new_zeros(len(x), *out.shape[1:]), out
        out[mine] = part
        add_up(out)
    net.train(was)
    return out
