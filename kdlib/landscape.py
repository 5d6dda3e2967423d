"""The distillation loss along a segment and on a plane in weight space (Fig 6c)."""

from collections.abc import Callable

import torch


def segment(loss: Callable, a: torch.Tensor, b: torch.Tensor, points: int = 21) -> list[float]:
    """loss(weights) at `points` equal steps from weights a [p] to b [p]."""
    return [loss(a + t * (b - a)) for t in torch.linspace(0, 1, points).tolist()]


def barrier(values: list[float]) -> float:
    """How far the loss on a segment rises above the straight line between its ends (Frankle et al., 2020)."""
    last = len(values) - 1
    return max(v - (values[0] + (values[-1] - values[0]) * i / last) for i, v in enumerate(values))


def plane(loss: Callable, origin: torch.Tensor, b: torch.Tensor, c: torch.Tensor, grid: int, margin=0.25):
    """The loss on the plane through three weight vectors [p].

    Returns a dict: axes `x`, `y` (distances in weight space; `origin` at (0, 0), `b` on the x axis), the
    coordinates `points` of the three vectors, and `loss` [grid][grid], rows along y.
    """
    u = b - origin
    length = u.norm()
    if length == 0:
        raise ValueError("the plane needs three different weight vectors")
    u = u / length
    v = (c - origin) - ((c - origin) @ u) * u
    height = v.norm()
    # the student that ended on the line gives no second direction: any fixed one shows the surroundings
    v = v / height if height > 1e-6 * length else torch.zeros_like(u)
    points = [(0.0, 0.0), (float(length), 0.0), (float((c - origin) @ u), float(height))]

    def axis(k):
        low, high = min(p[k] for p in points), max(p[k] for p in points)
        pad = margin * (max(float(length), float(height)))
        return torch.linspace(low - pad, high + pad, grid).tolist()

    xs, ys = axis(0), axis(1)
    values = [[loss(origin + x * u + y * v) for x in xs] for y in ys]
    return {"x": xs, "y": ys, "points": points, "loss": values}
