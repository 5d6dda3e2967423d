import pytest
import torch

from kdlib import landscape


def test_the_barrier_of_a_straight_line_is_zero_and_of_a_hill_its_height():
    assert landscape.barrier([0.0, 1.0, 2.0]) == 0
    assert landscape.barrier([0.0, 5.0, 2.0]) == pytest.approx(4)


def test_the_plane_of_a_quadratic_bowl():
    centre, b, c = torch.zeros(3), torch.tensor([4.0, 0, 0]), torch.tensor([1.0, 2, 0])
    out = landscape.plane(lambda w: float(w @ w), centre, b, c, grid=7)
    for i, y in enumerate(out["y"]):
        for j, x in enumerate(out["x"]):
            assert out["loss"][i][j] == pytest.approx(x * x + y * y, abs=1e-4)
    assert out["points"] == [(0, 0), (4, 0), (1, 2)]


def test_sharpness_is_the_largest_eigenvalue_of_the_hessian():
    """Of a quartic bowl, against the dense Hessian."""
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.double))[0]
    curved = turn @ torch.diag(torch.tensor([9.0, 4, 3, 2, 1, 0.5], dtype=torch.double)) @ turn.T

    def loss(w):
        return w @ curved @ w / 2 + (w**4).sum()

    at = torch.linspace(-0.3, 0.4, 6, dtype=torch.double)
    expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, at))[-1]
    found = landscape.sharpness(loss, at, torch.Generator().manual_seed(1), steps=200)
    assert found == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("options", [{"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": False},
                                     {"momentum": 0.5, "nesterov": True}])
@pytest.mark.parametrize("times, leaves", [(0.98, False), (1.02, True)])
def test_sgd_leaves_a_bowl_that_is_sharper_than_it_is_stable_in(options, times, leaves):
    """By torch's own SGD."""
    w = torch.tensor([1e-6], dtype=torch.double, requires_grad=True)
    curvature = times * landscape.sharpest_stable(0.05, **options)
    optimizer = torch.optim.SGD([w], lr=0.05, **options)
    for _ in range(2000):
        optimizer.zero_grad()
        (curvature * w @ w / 2).backward()
        optimizer.step()
    assert (w.abs().item() > 1) == leaves
