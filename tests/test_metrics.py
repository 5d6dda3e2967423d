"""Every metric against hand-computed numbers, sklearn, scipy and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import logit, rel_entr, softmax
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, cohen_kappa_score, log_loss
from torch.overrides import TorchFunctionMode
from torchmetrics.functional.classification import multiclass_calibration_error
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from kdlib import defects, metrics


def logits(*shape, seed=0, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def labels(n, classes, seed=9):
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


# 97 divides into no bin evenly
Z, Y = logits(97, 10), labels(97, 10)


def test_accuracy_and_nll_equal_sklearn():
    p = softmax(Z.numpy(), 1)
    assert metrics.accuracy(Z, Y) == pytest.approx(accuracy_score(Y, p.argmax(1)))
    assert metrics.nll(Z, Y) == pytest.approx(log_loss(Y, p, labels=range(10)))


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_equals_torchmetrics(bins):
    expected = multiclass_calibration_error(Z.softmax(1), Y, num_classes=10, n_bins=bins, norm="l1")
    assert metrics.ece(Z, Y, bins) == pytest.approx(expected.item(), abs=1e-6)


def test_ece_of_hand_computed_bins():
    # confidences .9, .9, .6; right, wrong, right: bins of 10 hold {.9, .9} and {.6}
    z = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]], dtype=torch.double).log()
    y = torch.tensor([0, 1, 0])
    assert metrics.ece(z, y, bins=15) == pytest.approx((2 * abs(0.9 - 0.5) + abs(0.6 - 1)) / 3)
    # in one bin over- and underconfidence cancel
    assert metrics.ece(z, y, bins=1) == pytest.approx(abs(2.4 / 3 - 2 / 3))


def test_agreement_counts_equal_guesses_and_is_symmetric():
    a = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    b = torch.tensor([[5.0, 0], [0, 1], [0, 1], [1, 0]])
    assert metrics.agreement(a, b) == metrics.agreement(b, a) == 0.5
    assert metrics.agreement(a, a) == 1
    assert metrics.agreement(a, 100 * a - 3) == 1


def test_distances_of_predictions_equal_scipy():
    a, b = logits(97, 10), logits(97, 10, seed=1)
    p, q = softmax(a.numpy(), 1), softmax(b.numpy(), 1)
    assert metrics.jensen_shannon(a, b) == pytest.approx(np.mean(jensenshannon(p, q, axis=1) ** 2))
    assert metrics.jensen_shannon(a, b) == pytest.approx(metrics.jensen_shannon(b, a))
    # the largest difference of the probabilities of any set of classes
    assert metrics.total_variation(a, b) == pytest.approx(np.maximum(p - q, 0).sum(1).mean())
    certain = 1e4 * torch.eye(3, dtype=torch.double)
    assert metrics.jensen_shannon(certain, certain.roll(1, 1)) == pytest.approx(math.log(2))
    assert metrics.total_variation(certain, certain.roll(1, 1)) == 1
    assert metrics.jensen_shannon(a, a + 3) == pytest.approx(0, abs=1e-12) == metrics.total_variation(a, a)


def test_kappa_equals_sklearn_and_is_0_for_guesses_that_are_alike_by_chance():
    a, b = logits(97, 10), logits(97, 10) + logits(97, 10, seed=1)
    assert metrics.cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a.argmax(1), b.argmax(1)))
    z = torch.eye(2)
    assert metrics.cohen_kappa(z[[0, 0, 1, 1]], z[[0, 1, 0, 1]]) == 0
    assert metrics.cohen_kappa(z[[0, 1]], z[[1, 0]]) == -1
    assert metrics.cohen_kappa(z[[0, 0]], z[[0, 0]]) == 1


def test_agreement_is_told_apart_by_the_teachers_correctness():
    z, y = torch.eye(3), torch.tensor([0, 1, 2, 0])
    right, wrong = metrics.agreement_by_correctness(z[[0, 1, 1, 2]], z[[0, 1, 2, 2]], y)
    assert (right, wrong) == (pytest.approx(2 / 3), 1)
    assert math.isnan(metrics.agreement_by_correctness(z[[0, 1]], z[[0, 1]], y[:2])[1])


def test_copied_errors_are_counted_above_those_of_equal_guesses_by_label():
    s, t = logits(97, 4), logits(97, 4) + logits(97, 4, seed=1)
    y, a, b = labels(97, 4), s.argmax(1), t.argmax(1)
    others = [(y == y[i]) & (torch.arange(97) != i) for i in range(97)]
    above = [float(a[i] == b[i]) - float((a[others[i]] == b[i]).double().mean()) for i in range(97) if b[i] != y[i]]
    assert metrics.copied_errors(s, t, y) == pytest.approx(np.mean(above))
    n = 20_000  # a student that errs the same way, but on inputs of its own
    y, draws = labels(n, 4), torch.rand(2, n, generator=torch.Generator().manual_seed(3)) < 0.4
    one, other = (torch.eye(4)[torch.where(errs, (y + 1) % 4, y)] for errs in draws)
    assert metrics.agreement_by_correctness(one, other, y)[1] == pytest.approx(0.4, abs=0.02)
    assert metrics.copied_errors(one, other, y) == pytest.approx(0, abs=0.02)
    assert metrics.copied_errors(other, other, y) == pytest.approx(0.6, abs=0.02)
    assert math.isnan(metrics.copied_errors(s[:4], torch.eye(4), torch.arange(4)))  # no error
    assert math.isnan(metrics.copied_errors(s[:4], torch.eye(4).roll(1, 0), torch.arange(4)))  # no other input


def test_values_by_input_have_the_metrics_as_their_means():
    z, other = Z.log_softmax(1), logits(97, 10, seed=1).log_softmax(1)
    assert float(metrics.kl_rows(z, other).mean()) == pytest.approx(metrics.predictive_kl(Z, other))
    assert float(metrics.jensen_shannon_rows(z, other).mean()) == pytest.approx(metrics.jensen_shannon(Z, other))
    index, gap = metrics.calibration_errors(Z, Y)
    assert float(gap.mean()) == pytest.approx(float(z.exp().amax(1).mean()) - metrics.accuracy(Z, Y))
    assert index.min() >= 0 and index.max() <= 14
    assert torch.allclose(metrics.log_odds(Z, Y), z.gather(1, Y[:, None])[:, 0].exp().logit())


def test_values_by_input_know_classes_that_are_ruled_out():
    z = torch.tensor([[0.0, -math.inf, 1.0]]).log_softmax(1)
    other = torch.tensor([[0.0, 2.0, 1.0]]).log_softmax(1)
    assert metrics.kl_rows(z, z) == 0 and metrics.jensen_shannon_rows(z, z) == pytest.approx(0, abs=1e-7)
    assert 0 < metrics.kl_rows(z, other) < math.inf == metrics.kl_rows(other, z)
    assert metrics.jensen_shannon_rows(z, other) < math.log(2)


def test_the_log_odds_slope_equals_sklearns_regression():
    t = logits(97, 10)
    s = 0.5 * t + logits(97, 10, seed=1, scale=0.3)
    guess = t.argmax(1).numpy()[:, None]
    x, y = (logit(np.take_along_axis(softmax(z.numpy(), 1), guess, 1)) for z in (t, s))
    assert metrics.log_odds_slope(s, t) == pytest.approx(float(LinearRegression().fit(x, y).coef_[0, 0]))
    assert metrics.log_odds_slope(t, t) == pytest.approx(1)
    sure = 100 * t  # probabilities of 1 to the last bit
    assert metrics.log_odds_slope(2 * sure, sure) == pytest.approx(2, rel=1e-3)
    with pytest.raises(ValueError, match="confidence differs"):
        metrics.log_odds_slope(Z[:2], torch.eye(10)[:2])


def test_ties_go_to_the_first_class():
    tie = torch.zeros(3, 4)
    assert metrics.accuracy(tie, torch.tensor([0, 1, 0])) == pytest.approx(2 / 3)
    assert metrics.agreement(tie, torch.eye(4)[[0, 0, 1]]) == pytest.approx(2 / 3)


def test_predictive_kl_equals_scipy_and_is_not_symmetric():
    other = logits(97, 10, seed=1)
    p, q = softmax(Z.numpy(), 1), softmax(other.numpy(), 1)
    assert metrics.predictive_kl(Z, other) == pytest.approx(rel_entr(p, q).sum(1).mean())
    assert metrics.predictive_kl(other, Z) == pytest.approx(rel_entr(q, p).sum(1).mean())
    assert metrics.predictive_kl(Z, Z + 4) == pytest.approx(0, abs=1e-12)


def test_predictive_kl_of_a_hand_computed_pair():
    teacher, student = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)  # (3/4, 1/4) against (1/2, 1/2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert metrics.predictive_kl(teacher, student) == pytest.approx(expected, abs=1e-6)


def test_huge_logits_give_exact_numbers():
    z = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    y = torch.tensor([0, 0])
    assert metrics.nll(z, y) == pytest.approx(1e4)
    assert metrics.accuracy(z, y) == 0.5
    assert metrics.ece(z, y) == pytest.approx(0.5)
    assert metrics.predictive_kl(z, z) == 0
    assert metrics.predictive_kl(z, z.flip(0)) == pytest.approx(2e4)


def test_one_class_is_always_right():
    z, y = logits(5, 1), torch.zeros(5, dtype=torch.long)
    assert (metrics.accuracy(z, y), metrics.nll(z, y), metrics.ece(z, y)) == (1, 0, 0)
    assert (metrics.agreement(z, -z), metrics.predictive_kl(z, -z)) == (1, 0)


def test_results_are_python_floats_and_shares_lie_in_the_unit_interval():
    z, other = Z.float(), logits(97, 10, seed=1).float()
    shares = [metrics.accuracy(z, Y), metrics.ece(z, Y), metrics.agreement(z, other), metrics.cka(z, other)]
    assert all(type(v) is float and 0 <= v <= 1 for v in shares)
    assert type(metrics.nll(z, Y)) is type(metrics.predictive_kl(z, other)) is float


def naive_cka(a, b):
    """HSIC with centring matrices (Kornblith et al., 2019, Eq. 3), nothing rearranged."""
    a, b = a.flatten(1).numpy(), b.flatten(1).numpy()
    centre = np.eye(len(a)) - 1 / len(a)

    def hsic(u, v):
        return np.trace(u @ u.T @ centre @ v @ v.T @ centre)

    return hsic(a, b) / math.sqrt(hsic(a, a) * hsic(b, b))


@pytest.mark.parametrize("da, db", [(4, 7), (50, 60), (4, 60), (60, 4)])
def test_cka_equals_the_definition_in_either_form(da, db):
    a, b = logits(20, da), logits(20, db, seed=1) + 3
    assert metrics.cka(a, b) == pytest.approx(naive_cka(a, b))
    assert metrics.cka(b, a) == pytest.approx(metrics.cka(a, b))


@pytest.mark.parametrize("da, db", [(4, 2000), (2000, 4), (2000, 2000)])
def test_cka_holds_no_more_than_n_by_n_however_wide_a_side_is(da, db):
    """One narrow side must not make the other's products as large as that is wide."""
    sizes = []

    class Sizes(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if function in (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.matmul):
                sizes.append(out.numel())
            return out

    with Sizes():
        metrics.cka(logits(20, da), logits(20, db, seed=1))
    assert sizes and max(sizes) <= 20 * 20


def test_cka_of_maps_flattens_them():
    a, b = logits(20, 3, 5), logits(20, 2, 4, 2, seed=1)
    assert metrics.cka(a, b) == pytest.approx(naive_cka(a, b))


def test_cka_ignores_rotation_shift_and_scale():
    a = logits(40, 6)
    rotation = torch.linalg.qr(logits(6, 6, seed=2)).Q
    assert metrics.cka(a, 3 * a @ rotation + 5) == pytest.approx(1)


def test_cka_falls_when_the_pairs_are_shuffled():
    a = logits(200, 6)
    b = a + 0.1 * logits(200, 6, seed=1)
    shuffled = b[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    assert metrics.cka(a, b) > 0.95
    assert metrics.cka(a, shuffled) < 0.2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_errors(bad):
    z = Z.clone()
    z[3, 2] = bad
    calls = [lambda: metrics.accuracy(z, Y), lambda: metrics.nll(z, Y), lambda: metrics.ece(z, Y),
             lambda: metrics.agreement(Z, z), lambda: metrics.predictive_kl(z, Z), lambda: metrics.cka(Z, z)]
    for call in calls:
        with pytest.raises(ValueError, match="NaN or infinity"):
            call()


def test_shapes_that_do_not_match_are_errors():
    calls = [lambda: metrics.accuracy(Z, Y[:-1]), lambda: metrics.nll(Z, Y[:, None]),
             lambda: metrics.agreement(Z, Z[:-1]), lambda: metrics.predictive_kl(Z, Z[:, :-1]),
             lambda: metrics.cka(Z, Z[:-1]), lambda: metrics.accuracy(Z[0], Y[0])]
    for call in calls:
        with pytest.raises(ValueError, match=r"\(got |differ in shape"):
            call()


OF_LABELS = [metrics.accuracy, metrics.nll, metrics.ece, defects.nll_table]


@pytest.mark.parametrize("metric", OF_LABELS)
@pytest.mark.parametrize("as_type", [lambda y: y.to(torch.uint8), lambda y: y.to(torch.int32), lambda y: y.numpy(),
                                     lambda y: y.numpy().astype("u2"), lambda y: y.tolist(),
                                     lambda y: y.numpy().astype(object), lambda y: y.numpy().astype(">i4")])
def test_labels_of_any_integer_type_tensors_or_not_give_the_same_number(metric, as_type):
    assert metric(Z, as_type(Y)) == metric(Z, Y) == metric(Z.numpy(), as_type(Y))


@pytest.mark.parametrize("metric", OF_LABELS)
@pytest.mark.parametrize("wrong", [Y.double(), Y.numpy() / 1, Y > 3, Y.numpy().astype(str),
                                   Y.numpy().astype(str).astype(object), np.array([*Y[1:].tolist(), None])])
def test_labels_that_are_no_whole_numbers_are_refused_by_every_metric(metric, wrong):
    with pytest.raises(ValueError, match="labels must be whole numbers"):
        metric(Z, wrong)


def test_logits_that_are_no_numbers_are_refused_in_a_sentence():
    for wrong in (Z.numpy().astype(object), np.full((3, 2), "a"), [[1.0, 2.0], [3.0]], None):
        with pytest.raises(ValueError, match="^logits must be tensors, arrays or lists of numbers$"):
            metrics.agreement(Z, wrong)


def test_labels_outside_the_classes_are_an_error():
    for wrong in (-1, 10):
        with pytest.raises(ValueError, match="labels"):
            metrics.accuracy(Z, torch.full_like(Y, wrong))


def test_an_empty_set_is_an_error():
    z, y = Z[:0], Y[:0]
    calls = [lambda: metrics.accuracy(z, y), lambda: metrics.nll(z, y), lambda: metrics.ece(z, y),
             lambda: metrics.agreement(z, z), lambda: metrics.predictive_kl(z, z), lambda: metrics.cka(z, z)]
    for call in calls:
        with pytest.raises(ValueError, match=r"\(got "):
            call()


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -1e6])
def test_cka_of_constant_features_is_an_error(constant):
    with pytest.raises(ValueError, match="constant"):
        metrics.cka(torch.full((7, 3), constant), logits(7, 3))


class Given(torch.nn.Module):
    """Features that are their own images, for torchmetrics."""

    num_features = 6

    def forward(self, x):
        return x


def features(n, seed):
    """Correlated features [n, 6] around a mean of their own."""
    z = logits(n, 6, seed=seed)
    return z @ logits(6, 6, seed=seed + 1) + seed


@pytest.mark.parametrize(("n", "m"), [(300, 200), (4, 50)], ids=["full rank", "fewer images than features"])
def test_the_frechet_distance_equals_torchmetrics(n, m):
    a, b = features(n, 1), features(m, 5)
    fid = FrechetInceptionDistance(Given()).set_dtype(torch.double)
    fid.update(a, real=True)
    fid.update(b, real=False)
    assert metrics.frechet_distance(a, b) == pytest.approx(float(fid.compute()), rel=1e-6)
    assert metrics.frechet_distance(a, b) == pytest.approx(metrics.frechet_distance(b, a), rel=1e-6)


def test_the_frechet_distance_of_moved_and_of_stretched_features_is_known():
    a, move = features(100, 1), torch.arange(6.0)
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(a, a + move) == pytest.approx(float(move.square().sum()))
    a = a - a.mean(0)
    assert metrics.frechet_distance(a, 3 * a) == pytest.approx(4 * float(a.T.cov().trace()))


def test_the_inception_score_equals_torchmetrics_and_its_extremes_are_1_and_the_classes():
    expected = InceptionScore(Given(), splits=1)
    expected.update(Z)
    assert metrics.inception_score(Z) == pytest.approx(float(expected.compute()[0]), rel=1e-6)
    assert metrics.inception_score(Z[:1].expand(9, 10)) == pytest.approx(1)
    assert metrics.inception_score(1e3 * torch.eye(7)) == pytest.approx(7)


@pytest.mark.parametrize("wrong", [torch.ones(1, 6), torch.ones(5, 7), torch.full((5, 6), math.nan), torch.ones(6)])
def test_features_that_have_no_distance_are_refused(wrong):
    with pytest.raises(ValueError, match="features"):
        metrics.frechet_distance(features(20, 1), wrong)


def test_the_distance_to_the_nearest_is_0_for_copies_and_the_step_for_neighbours_at_a_step():
    known = torch.arange(0.0, 40, 4).reshape(10, 1, 1, 1).expand(10, 3, 2, 2)
    assert metrics.nearest(known[2:5], known) == pytest.approx(0, abs=1e-3)
    assert metrics.nearest(known + 1, known) == pytest.approx(1, rel=1e-4)  # of the root mean square, whatever the size
    assert metrics.nearest(known[:1] - 7, known) == pytest.approx(7, rel=1e-4)


@pytest.mark.parametrize("wrong", [torch.ones(0, 3), torch.ones(2, 4)])
def test_inputs_that_have_no_nearest_are_refused(wrong):
    with pytest.raises(ValueError, match="one shape"):
        metrics.nearest(wrong, torch.ones(5, 3))
