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
