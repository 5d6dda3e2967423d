"""Augmentation of whole batches as tensor operations: signals [n, 1, length] or images [n, c, h, w], same shape out.

The teacher labels what comes out (also mixed or replaced signals), so labels are never needed here.
"""

import torch
import torch.nn.functional as F

from kdlib.spec import Policy


def augment(x: torch.Tensor, policy: Policy, generator: torch.Generator, pool: torch.Tensor | None = None):
    """Apply a policy; `pool` holds the signals that "ood" and "fresh" put in place of every fifth signal
    (1 : 4, as the paper mixes in GAN images)."""
    if policy == "baseline":
        return x
    if policy == "combined":
        for part in ("shift", "scale", "jitter"):
            x = augment(x, part, generator)
        return x
    if policy == "crop-flip":
        return crop_flip(x, generator)
    n, _, length = x.shape

    def uniform(low, high, *shape):
        return (torch.rand(*shape, generator=generator) * (high - low) + low).to(x.device)

    if policy == "shift":  # by up to 4 of 40 samples; what leaves on one side comes back on the other
        by = torch.randint(-4, 5, (n, 1), generator=generator).to(x.device)
        index = (torch.arange(length, device=x.device) - by) % length
        return x.gather(2, index[:, None])
    if policy == "scale":
        return x * uniform(0.6, 1.4, n, 1, 1)
    if policy == "jitter":
        return x + 0.25 * torch.randn(x.shape, generator=generator).to(x.device)
    if policy == "mixup":  # one lambda per example, as in the paper's text
        weight = uniform(0, 1, n, 1, 1)
        return weight * x + (1 - weight) * x[torch.randperm(n, generator=generator).to(x.device)]
    if policy == "noise":  # each signal replaced by uniform noise with probability 0.2, unit variance
        replaced = uniform(0, 1, n, 1, 1) < 0.2
        return torch.where(replaced, uniform(-(3**0.5), 3**0.5, *x.shape), x)
    if policy in ("ood", "fresh"):
        if pool is None:
            raise ValueError(f"policy {policy!r} needs a pool of signals to mix in")
        x = x.clone()
        rows = torch.arange(0, n, 5, device=x.device)
        x[rows] = pool[torch.randint(len(pool), (len(rows),), generator=generator).to(x.device)]
        return x
    raise ValueError(f"unknown policy {policy!r}")


def crop_flip(x: torch.Tensor, generator: torch.Generator, margin: int = 4) -> torch.Tensor:
    """Random crop after zero padding by `margin`, horizontal flip with p = .5: the paper's baseline for images."""
    n, _, height, width = x.shape
    moves = torch.randint(0, 2 * margin + 1, (2, n, 1), generator=generator).to(x.device)
    rows = moves[0] + torch.arange(height, device=x.device)  # [n, height], of the padded image
    columns = moves[1] + torch.arange(width, device=x.device)
    flip = (torch.rand(n, 1, generator=generator) < 0.5).to(x.device)
    columns = torch.where(flip, columns.flip(1), columns)
    padded = F.pad(x, (margin,) * 4)
    return padded[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]
                  ].permute(0, 3, 1, 2)
