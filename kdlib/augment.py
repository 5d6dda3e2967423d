"""Augmentation of whole batches as tensor operations: signals [n, 1, length] or images [n, c, h, w], same shape out.

The teacher labels what comes out (also mixed or replaced inputs), so labels are never needed here. Images have pixels
in [0, 1]. Colour images are always cropped and flipped at random, the paper's baseline, and every other policy comes on
top; of other data the baseline changes nothing (paper, A.1).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from kdlib import catalog

DEGREES, JITTER = 20, 0.2  # of rotation; of brightness, contrast, saturation and hue


def augment(x: torch.Tensor, policy: str, draws: torch.Generator, pool: torch.Tensor | Callable | None = None):
    """Apply a policy of the catalog; `pool` holds the inputs that some put in place of every fifth input (1 : 4, as the
    paper mixes in GAN images), or makes `n` of them from `(n, draws)`. `data.augmented` takes photographs too."""
    kind, known = catalog.like(x.shape[1:]), catalog.POLICIES[policy]
    if known.pool:
        if pool is None:
            raise ValueError(f"policy {policy!r} needs a pool of inputs to mix in")
        x = x.clone()
        rows = torch.arange(0, len(x), 5, device=x.device)
        x[rows] = pool(len(rows), draws) if callable(pool) else pool[
            torch.randint(len(pool), (len(rows),), generator=draws).to(x.device)]
    if kind.cropped:
        x = crop_flip(x, draws)
    for step in known.steps[kind]:
        x = catalog.code(step, "augment")(x, draws)
    return x


def _uniform(low, high, shape, draws, like):
    return (torch.rand(shape, generator=draws) * (high - low) + low).to(like.device)


def _each(x):
    """The shape of one number for each input."""
    return (len(x),) + (1,) * (x.ndim - 1)


def shift(x, draws):
    """By up to 4 samples; what leaves on one side comes back on the other."""
    n, _, length = x.shape
    by = torch.randint(-4, 5, (n, 1), generator=draws).to(x.device)
    index = (torch.arange(length, device=x.device) - by) % length
    return x.gather(2, index[:, None])


def scale(x, draws):
    """Each by a factor of 0.6 to 1.4."""
    return x * _uniform(0.6, 1.4, _each(x), draws, x)


def jitter(x, draws):
    """Normal noise of deviation 0.25."""
    return x + 0.25 * torch.randn(x.shape, generator=draws).to(x.device)


def mixup(x, draws):
    """One lambda per example, as in the paper's text."""
    weight = _uniform(0, 1, _each(x), draws, x)
    return weight * x + (1 - weight) * x[torch.randperm(len(x), generator=draws).to(x.device)]


def noise(x, draws):
    """Each input replaced with probability 0.2 by uniform noise: of unit variance for signals, pixels in [0, 1]."""
    replaced = _uniform(0, 1, _each(x), draws, x) < 0.2
    low, high = (0, 1) if catalog.like(x.shape[1:]).pixels else (-(3**0.5), 3**0.5)
    return torch.where(replaced, _uniform(low, high, x.shape, draws, x), x)


def crop_flip(x: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """Random crop after zero padding by an eighth of the height, horizontal flip with p = .5."""
    return cropped(x, *crop_flip_draws(x, draws))


def _margin(height):
    return height // 8  # the paper's 4 of 32


def crop_flip_draws(x: torch.Tensor, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each of the n images is cropped, int64 [2, n], and whether it is flipped, bool [n]."""
    moves = torch.randint(0, 2 * _margin(x.shape[2]) + 1, (2, len(x), 1), generator=draws)
    flip = torch.rand(len(x), 1, generator=draws) < 0.5
    return moves[..., 0].to(x.device), flip[:, 0].to(x.device)


def crop_flip_outcomes(height: int) -> int:
    """How many different images one image of that height can become."""
    return 2 * (2 * _margin(height) + 1) ** 2


def outcome(x: torch.Tensor, moves: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """The number of each draw, int64 [n] in 0 ... outcomes - 1."""
    side = 2 * _margin(x.shape[2]) + 1
    return (moves[0] * side + moves[1]) * 2 + flip


def draws_of(x: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The draws of one outcome, the same for every image."""
    place, flip = divmod(number, 2)
    moves = torch.tensor(divmod(place, 2 * _margin(x.shape[2]) + 1), device=x.device)
    return moves[:, None].expand(2, len(x)), torch.full((len(x),), bool(flip), device=x.device)


def cropped(x: torch.Tensor, moves: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Images cropped and flipped by given draws."""
    n, _, height, width = x.shape
    margin = _margin(x.shape[2])
    rows = moves[0, :, None] + torch.arange(height, device=x.device)  # [n, height], of the padded image
    columns = moves[1, :, None] + torch.arange(width, device=x.device)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    padded = F.pad(x, (margin,) * 4)
    return padded[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]
                  ].permute(0, 3, 1, 2)


def rotation(x, draws):
    """By up to 20 degrees, nearest pixel, black corners."""
    angle = torch.deg2rad(_uniform(-DEGREES, DEGREES, (len(x),), draws, x))
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    theta = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="nearest", align_corners=False)


def vflip(x, draws):
    """Upside down with p = .5."""
    return torch.where(_uniform(0, 1, _each(x), draws, x) < 0.5, x.flip(2), x)


def colour_jitter(x, draws):
    """Brightness, contrast, saturation and hue of each image, in a random order of its own."""
    n = len(x)
    order = torch.rand(n, 4, generator=draws).argsort(1).to(x.device)
    by = _uniform(1 - JITTER, 1 + JITTER, (n, 3), draws, x)
    by = torch.cat([by, _uniform(-JITTER, JITTER, (n, 1), draws, x)], 1)
    x = x.clone()
    for place in range(4):
        for kind, change in enumerate((_brightness, _contrast, _saturation, _hue)):
            rows = (order[:, place] == kind).nonzero()[:, 0]
            x[rows] = change(x[rows], by[rows, kind, None, None, None])
    return x


def _grey(x):
    weights = torch.tensor([0.2989, 0.587, 0.114], device=x.device).view(3, 1, 1)  # ITU-R 601
    return (x * weights).sum(1, keepdim=True)


def _brightness(x, by):
    return (x * by).clamp(0, 1)


def _contrast(x, by):
    return (by * x + (1 - by) * _grey(x).mean((1, 2, 3), keepdim=True)).clamp(0, 1)


def _saturation(x, by):
    return (by * x + (1 - by) * _grey(x)).clamp(0, 1)


def _hue(x, by):
    """Turn the hue by a share of the circle: through hue, saturation and value, and back."""
    high, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    spread = high - low
    r, g, b = ((high - x) / spread.clamp(min=1e-12)).split(1, 1)
    red, green = x[:, :1] == high, x[:, 1:2] == high
    hue = torch.where(red, b - g, torch.where(green, 2 + r - b, 4 + g - r)) / 6
    hue = torch.where(spread > 0, hue, 0.0) + by
    # each channel falls from the value to (1 - saturation) times it as the hue moves away from the channel's own
    place = torch.tensor([5.0, 3.0, 1.0], device=x.device).view(3, 1, 1)
    k = (place + hue * 6) % 6
    return high - spread * torch.minimum(k, 4 - k).clamp(0, 1)
