"""The distillation loss along a segment and on a plane in weight space (Fig 6c), and how it curves at a point."""

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


def sharpness(loss: Callable, weights: torch.Tensor, draws: torch.Generator, steps: int = 50) -> float:
    """The largest eigenvalue, by size, of the Hessian of loss(weights), a scalar that can be differentiated twice, at
    weights [p]: power iteration from a random direction."""
    weights = weights.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(weights), weights, create_graph=True)
    direction, value = torch.randn(len(weights), generator=draws).to(weights), torch.zeros(())
    for _ in range(steps):
        direction = direction / direction.norm()
        (turned,) = torch.autograd.grad(gradient, weights, direction, retain_graph=True)
        direction, value = turned, direction @ turned
    return float(value)


def sharpest_stable(lr: float, momentum: float = 0.9, nesterov: bool = True) -> float:
    """The curvature up to which SGD at a fixed rate comes to rest in a quadratic bowl; in a sharper one the least
    distance from its bottom grows from step to step (Cohen et al., 2021, appendix B)."""
    return 2 * (1 + momentum) / (lr * (1 + 2 * momentum if nesterov else 1))
