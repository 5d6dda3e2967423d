"""The wrong formulas against what is known of them from outside, and the right ones beside them."""

import math

import numpy as np
import pytest
import torch
from conftest import defects as spec
from conftest import result, student
from scipy.spatial.distance import pdist, squareform

from kdlib import defects, metrics


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_the_table_is_the_cross_entropy_with_the_labels_of_the_whole_batch():
    z, y = normal(30, 4), torch.arange(30) % 4
    by_hand = np.mean([-z.log_softmax(1)[i, y[j]] for i in range(30) for j in range(30)])
    assert defects.nll_table(z, y) == pytest.approx(by_hand)


def test_the_table_can_be_no_smaller_than_the_entropy_of_the_labels():
    y = torch.tensor([0] * 6 + [1] * 3 + [2])
    shares = torch.tensor([0.6, 0.3, 0.1])
    entropy = float(-(shares * shares.log()).sum())
    assert defects.nll_table(shares.log().expand(10, 3), y) == pytest.approx(entropy)  # the same guess for all
    perfect = 20.0 * torch.nn.functional.one_hot(y, 3)
    assert metrics.nll(perfect, y) < 1e-6 and defects.nll_table(perfect, y) > 10 > entropy


def test_a_short_last_batch_weighs_as_much_as_a_full_one():
    values = torch.tensor([1.0, 1.0, 1.0, 4.0])
    assert defects.batch_means(lambda v: float(v.mean()), 3, values) == 2.5
    assert defects.batch_means(lambda v: float(v.mean()), 2, values) == pytest.approx(1.75)


def test_the_wrong_rows_are_image_columns_and_the_right_ones_examples():
    maps = normal(5, 2, 3, 4)
    assert torch.equal(defects.columns(maps)[1], maps[:, :, :, 1].flatten(1).mean(1))
    assert torch.equal(defects.places(maps)[1], maps[1].flatten(1).mean(1))


def test_kernel_cka_equals_its_definition():
    a, b = normal(9, 3), normal(9, 5, seed=1)
    kernels = []
    for rows in (a.numpy(), b.numpy()):
        squares = squareform(pdist(rows, "sqeuclidean"))
        kernels.append(np.exp(-squares / (2 * np.median(squares[squares > 0]))))
    centre = np.eye(9) - 1 / 9
    k, h = (centre @ kernel @ centre for kernel in kernels)
    expected = np.trace(k @ h) / math.sqrt(np.trace(k @ k) * np.trace(h @ h))
    assert defects.kernel_cka(a, b) == pytest.approx(expected)
    assert defects.kernel_cka(a, 3 * a + 1) == pytest.approx(1)


def test_shuffling_the_inputs_changes_the_wrong_cka_not_at_all():
    a = normal(50, 3, 6, 6)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    [one, two] = (defects.similarities([a], [b], 50) for b in (a, a[order]))
    assert one["columns1"] == pytest.approx(1) and two["columns1"] == pytest.approx(1)
    assert two["places1"] < 0.2 and two["cka1"] < 0.9


def test_the_right_metrics_of_a_run_are_those_of_its_student():
    made = {}
    wrong, right = result(spec(), made).metrics, result(student(), made).metrics
    for name, other in (("nll", "nll"), ("teacher_nll", "teacher_nll"), ("kl", "kl"), ("cka2", "cka2"),
                        ("unseen_cka3", "independent_cka3")):
        assert wrong[name] == pytest.approx(right[other])
    assert wrong["shuffled_columns1"] == pytest.approx(wrong["columns1"])
    assert wrong["nll_table"] != pytest.approx(wrong["nll"], rel=1e-3)


def test_the_students_of_ensembles_have_likelihoods_only():
    assert set(result(spec(2)).metrics) == {"kl", "kl_batches", *(
        f"{who}nll{how}" for who in ("", "teacher_") for how in ("", "_batches", "_table"))}


def test_a_record_without_curves_is_compared_by_its_metrics():
    record = result(spec())
    assert record.curves == {} and record.difference(record) == (0, 0)
