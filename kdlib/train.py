"""The one training loop, for teachers and students alike."""

import math
from collections.abc import Callable

import torch
import torch.nn as nn

from kdlib.spec import Training

BLOCK = 20  # batches prepared at once: augmentation and teacher labels cost one call per block, not per step
CURVE = 20  # points of the recorded loss curve


class Diverged(Exception):
    """The loss became infinite or NaN."""


def flat_parameters(net: nn.Module) -> nn.Parameter:
    """All parameters as views of one vector [p], gradients too: one optimizer call updates everything."""
    parts = list(net.parameters())
    flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parts]))
    flat.grad, start = torch.zeros_like(flat), 0
    for p in parts:
        stop = start + p.numel()
        p.data, p.grad = flat.data[start:stop].view_as(p), flat.grad[start:stop].view_as(p)
        start = stop
    return flat


def batches(n: int, batch: int, steps: int, generator: torch.Generator):
    """Yield index blocks [k * batch, ...]: shuffled epochs one after another, the last partial one carried on."""
    batch, left = min(batch, n), torch.empty(0, dtype=torch.long)
    done = 0
    while done < steps:
        k = min(BLOCK, steps - done)
        while len(left) < k * batch:
            left = torch.cat([left, torch.randperm(n, generator=generator)])
        yield left[: k * batch], k
        left, done = left[k * batch :], done + k


def fit(net: nn.Module, training: Training, n: int, prepare: Callable, loss: Callable,
        order: torch.Generator, name: str) -> list[float]:
    """Train `net` in place and return its loss curve (20 means over equal parts of the run).

    prepare(rows [k]) -> tuple of tensors [k, ...], the first one the inputs; called for a block of batches.
    loss(logits [b, c], *rest of the tuple) -> [b] per-example losses; their mean is minimised.
    """
    flat = flat_parameters(net)
    if training.optimizer == "sgd":
        optimizer = torch.optim.SGD([flat], lr=training.lr, momentum=0.9, nesterov=True,
                                    weight_decay=training.weight_decay, fused=True)
    else:
        optimizer = torch.optim.AdamW([flat], lr=training.lr, weight_decay=training.weight_decay, fused=True)
    group, step = optimizer.param_groups[0], 0
    losses = torch.zeros(training.steps)
    net.train()
    for rows, k in batches(n, training.batch, training.steps, order):
        block = prepare(rows)
        for x, *rest in zip(*(part.chunk(k) for part in block), strict=True):
            group["lr"] = training.lr * 0.5 * (1 + math.cos(math.pi * step / training.steps))
            flat.grad.zero_()
            value = loss(net(x), *rest).mean()
            value.backward()
            optimizer.step()
            losses[step] = value.detach()
            step += 1
        # checked once per block: a check per step would wait for the device every time
        if not torch.isfinite(losses[step - k : step]).all():
            bad = int((~torch.isfinite(losses[:step])).nonzero()[0])
            raise Diverged(f"run {name}: the loss became non-finite at step {bad} of {training.steps}; "
                           f"lower its learning rate ({training.lr:g})")
    net.eval()
    return [float(part.mean()) for part in losses.chunk(min(CURVE, training.steps))]


@torch.no_grad()
def logits_of(net: nn.Module, x: torch.Tensor, chunk: int = 1000) -> torch.Tensor:
    """Logits [n, c] of a whole set, in eval mode; never averaged by batch."""
    was = net.training
    net.eval()
    out = torch.cat([net(part) for part in x.split(chunk)])
    net.train(was)
    return out
