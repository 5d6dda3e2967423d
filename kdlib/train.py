"""The one training loop, for teachers and students alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn as nn

from kdlib.models import Together
from kdlib.spec import Training

BLOCK = 20  # batches prepared at once: augmentation and teacher labels cost one call per block, not per step
CURVE = 20  # points of the recorded loss curve


class Diverged(Exception):
    """The loss became infinite or NaN."""


def batches(n: int, batch: int, steps: int, generator: torch.Generator):
    """Yield row indices for up to BLOCK batches at a time: shuffled epochs, a batch may span two of them."""
    left, done = torch.empty(0, dtype=torch.long), 0
    while done < steps:
        k = min(BLOCK, steps - done)
        while len(left) < k * batch:
            left = torch.cat([left, torch.randperm(n, generator=generator)])
        yield left[: k * batch]
        left, done = left[k * batch :], done + k


@dataclass(frozen=True)
class Source:
    """Where one run's batches come from.

    prepare(rows [k]) -> tuple of tensors [k, ...], the inputs first; called for a block of batches at once.
    """

    name: str
    n: int
    prepare: Callable
    order: torch.Generator


def fit(nets: list[nn.Module], training: Training, sources: list[Source], loss: Callable) -> list[list[float]]:
    """Train g nets in place, net i on source i, and return their loss curves (20 means over equal parts of the run).

    loss(logits [k, c], *rest of a source's tuple) -> [k] per-example losses; each net minimises its own mean.
    The nets advance together, which for small ones is about twice as fast, and end with the same bits as alone.
    """
    together, size = Together(nets), training.batch
    if training.optimizer == "sgd":
        optimizer = torch.optim.SGD([together.flat], lr=training.lr, momentum=0.9, nesterov=True,
                                    weight_decay=training.weight_decay, fused=True)
    else:
        optimizer = torch.optim.AdamW([together.flat], lr=training.lr, weight_decay=training.weight_decay, fused=True)
    group, step = optimizer.param_groups[0], 0
    losses = torch.zeros(len(nets), training.steps, device=together.flat.device)
    together.train()
    for blocks in zip(*(batches(s.n, size, training.steps, s.order) for s in sources), strict=True):
        k = len(blocks[0]) // size
        prepared = zip(*(s.prepare(rows) for s, rows in zip(sources, blocks, strict=True)), strict=True)
        block = [torch.stack(parts) for parts in prepared]
        for x, *rest in zip(*(part.chunk(k, 1) for part in block), strict=True):
            group["lr"] = training.lr * 0.5 * (1 + math.cos(math.pi * step / training.steps))
            together.flat.grad.zero_()
            values = loss(together(x).flatten(0, 1), *(part.flatten(0, 1) for part in rest))
            means = values.view(len(nets), size).mean(1)
            means.sum().backward()
            optimizer.step()
            losses[:, step] = means.detach()
            step += 1
        # checked once per block: a check per step would wait for the device every time
        finite = torch.isfinite(losses[:, :step])
        if not finite.all():
            row, bad = (~finite).nonzero()[0].tolist()
            raise Diverged(f"run {sources[row].name}: the loss became non-finite at step {bad} of {training.steps}; "
                           f"lower its learning rate ({training.lr:g})")
    together.eval()
    return [[float(part.mean()) for part in row.chunk(min(CURVE, training.steps))] for row in losses]


@torch.no_grad()
def logits_of(net: nn.Module, x: torch.Tensor, chunk: int = 1000) -> torch.Tensor:
    """Logits [n, c] of a whole set, in eval mode; never averaged by batch."""
    was = net.training
    net.eval()
    out = torch.cat([net(part) for part in x.split(chunk)])
    net.train(was)
    return out
