"""The value and gradient of every loss, against the formula written out, scipy and torch's own KL."""

import inspect
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, softmax

from kdlib import catalog, losses


def logits(*shape, seed=0, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def gradient(student, teacher, temperature):
    student = student.clone().requires_grad_()
    losses.distillation(student, teacher, temperature).sum().backward()
    return student.grad


def test_nll_of_a_hand_computed_row():
    z = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # probabilities 3/4, 1/4 and a tie
    torch.testing.assert_close(losses.nll(z, torch.tensor([1, 0])), torch.tensor([math.log(4), math.log(2)]))


def test_distillation_of_a_hand_computed_row():
    student, teacher = torch.zeros(1, 2), torch.tensor([[2 * math.log(3.0), 0.0]])
    # the uniform student costs log 2 whatever the teacher says; tau^2 = 4
    assert losses.distillation(student, teacher, 2.0).item() == pytest.approx(4 * math.log(2))
    # roles exchanged: the softened student is (3/4, 1/4) and the teacher uniform
    expected = -4 * 0.5 * (math.log(3 / 4) + math.log(1 / 4))
    assert losses.distillation(teacher, student, 2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.5, 1, 1.0, 4.0, 16.0])
@pytest.mark.parametrize("shape", [(1, 2), (7, 10), (13, 3)])
def test_distillation_equals_the_formula(shape, temperature):
    s, t = logits(*shape, seed=1), logits(*shape, seed=2)
    expected = -temperature**2 * (softmax(t.numpy() / temperature, 1)
                                  * log_softmax(s.numpy() / temperature, 1)).sum(1)
    np.testing.assert_allclose(losses.distillation(s, t, temperature).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_above_its_optimum_is_tau_squared_kl(temperature):
    s, t = logits(6, 5, seed=1), logits(6, 5, seed=2)
    above = losses.distillation(s, t, temperature) - losses.distillation(t, t, temperature)
    kl = F.kl_div(F.log_softmax(s / temperature, 1), F.softmax(t / temperature, 1), reduction="none").sum(1)
    torch.testing.assert_close(above, temperature**2 * kl)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 16.0])
def test_gradient_is_zero_where_student_equals_teacher(temperature):
    t = logits(8, 10)
    torch.testing.assert_close(gradient(t, t, temperature), torch.zeros_like(t), atol=1e-12, rtol=0)
    # logits are only defined up to a constant per row
    torch.testing.assert_close(gradient(t + 5, t, temperature), torch.zeros_like(t), atol=1e-12, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_gradient_is_tau_times_the_difference_of_softened_probabilities(temperature):
    s, t = logits(8, 10, seed=1), logits(8, 10, seed=2)
    expected = temperature * (F.softmax(s / temperature, 1) - F.softmax(t / temperature, 1))
    torch.testing.assert_close(gradient(s, t, temperature), expected)


def test_gradient_tends_to_the_centred_logit_difference_over_c_as_tau_grows():
    s, t = logits(8, 10, seed=1), logits(8, 10, seed=2)
    difference = s - t
    limit = (difference - difference.mean(1, keepdim=True)) / 10
    torch.testing.assert_close(gradient(s, t, 1e5), limit, atol=1e-3, rtol=0)
    errors = [(gradient(s, t, tau) - limit).abs().max() for tau in (10.0, 100.0, 1000.0)]
    assert errors[0] > errors[1] > errors[2]


def test_the_teacher_gets_no_gradient_when_it_needs_none():
    s, t = logits(4, 3, seed=1).requires_grad_(), logits(4, 3, seed=2)
    losses.distillation(s, t, 4.0).sum().backward()
    assert t.grad is None and s.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits_stay_finite(dtype):
    s = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype)
    t = s.flip(1)
    for temperature in (1.0, 4.0):
        assert torch.isfinite(losses.distillation(s, t, temperature)).all()
        assert torch.isfinite(gradient(s, t, temperature)).all()
    assert losses.nll(s, torch.tensor([1, 1])).tolist() == pytest.approx([2e4, math.log(2)])
    assert torch.isfinite(losses.ensemble_logits(torch.stack([s, s]))).all()


def test_one_class_costs_nothing():
    z = logits(5, 1)
    assert losses.nll(z, torch.zeros(5, dtype=torch.long)).abs().max() == 0
    assert losses.distillation(z, -z, 4.0).abs().max() == 0


@pytest.mark.parametrize("alpha", [0, 0.1, 0.5, 0.7, 1])
def test_mixed_weights_both_terms(alpha):
    s, t, y = logits(9, 4, seed=1), logits(9, 4, seed=2), torch.arange(9) % 4
    expected = alpha * losses.nll(s, y) + (1 - alpha) * losses.distillation(s, t, 4.0)
    torch.testing.assert_close(losses.mixed(s, t, y, alpha, 4.0), expected)


def test_mixed_does_not_touch_a_term_without_weight():
    s, t, y = logits(4, 3, seed=1), logits(4, 3, seed=2), torch.tensor([0, 1, 2, 0])
    assert torch.isfinite(losses.mixed(s, t, None, 0, 2.0)).all()
    assert torch.isfinite(losses.mixed(s, t * math.nan, y, 1, 2.0)).all()


@pytest.mark.parametrize("shape", [(2, 5, 3), (3,)])
def test_logits_that_are_no_rows_of_classes_are_refused(shape):
    """Of [batch, sequence, classes] the cross-entropy would take the sequence for the classes."""
    s, t = logits(*shape, seed=1), logits(*shape, seed=2)
    calls = [lambda: losses.distillation(s, t), lambda: losses.distillation(s, t, 4.0),
             lambda: losses.nll(s, torch.zeros(shape[:1], dtype=torch.long)),
             lambda: losses.mixed(s, t, torch.zeros(shape[:1], dtype=torch.long), 0.5)]
    for call in calls:
        with pytest.raises(ValueError, match="n, classes.*flatten"):
            call()


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        losses.distillation(logits(4, 3), logits(4, 5))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_of_any_integer_type_give_the_same_likelihood_and_others_are_refused(dtype):
    z, y = logits(6, 4), torch.arange(6) % 4
    assert torch.equal(losses.nll(z, y.to(dtype)), losses.nll(z, y))
    with pytest.raises(ValueError, match="whole numbers .got torch.float64"):
        losses.nll(z, y.double())
    with pytest.raises(ValueError, match="6 whole numbers"):
        losses.nll(z, y[:, None])


@pytest.mark.parametrize("as_type", [lambda y: y.numpy(), lambda y: y.numpy().astype("u2"), lambda y: y.tolist()])
def test_labels_are_taken_in_the_forms_that_metrics_take(as_type):
    z, y = logits(6, 4), torch.arange(6) % 4
    assert torch.equal(losses.nll(z, as_type(y)), losses.nll(z, y))
    assert torch.equal(losses.mixed(z, z, as_type(y), 0.5), losses.mixed(z, z, y, 0.5))
    with pytest.raises(ValueError, match="whole numbers .got torch.float32"):
        losses.nll(z, (y / 1).numpy())


@pytest.mark.parametrize("wrong", [-100, -1, 4])
def test_a_label_outside_the_classes_is_an_error_and_not_without_loss(wrong):
    y = torch.arange(6) % 4
    y[2] = wrong  # torch's own -100 would have no loss and no gradient
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\.\. 3"):
        losses.nll(logits(6, 4), y)
    with pytest.raises(ValueError, match="whole numbers .got torch.complex64"):
        losses.nll(logits(6, 4), (torch.arange(6) % 4).to(torch.complex64))


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_not_positive_is_an_error(temperature):
    with pytest.raises(ValueError, match="temperature"):
        losses.distillation(logits(2, 2), logits(2, 2), temperature)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_an_alpha_outside_the_unit_interval_is_an_error(alpha):
    with pytest.raises(ValueError, match="alpha"):
        losses.mixed(logits(2, 2), logits(2, 2), torch.zeros(2, dtype=torch.long), alpha, 1.0)


@pytest.mark.parametrize("members", [1, 3, 12])
def test_ensemble_logits_are_the_log_of_the_mean_probability(members):
    z = logits(members, 6, 5)
    expected = np.log(softmax(z.numpy(), 2).mean(0))
    # log m is taken in float32, so no better than that
    np.testing.assert_allclose(losses.ensemble_logits(z).numpy(), expected, rtol=1e-6)


def test_equal_members_are_one_member():
    z = logits(4, 3)
    same = losses.ensemble_logits(z.expand(5, 4, 3))
    torch.testing.assert_close(same, F.log_softmax(z, 1))
    torch.testing.assert_close(losses.ensemble_logits(torch.stack([z, z + 7])), same)


def written_out(name, s, t, labels, tau):
    """The objectives as their papers write them, in numpy: [n]."""
    p, q, rows = softmax(s / tau, 1), softmax(t / tau, 1), np.arange(len(s))

    def kl(a, b):
        return np.array([sum(x * math.log(x / y) for x, y in zip(*pair, strict=True) if x > 0)
                         for pair in zip(a, b, strict=True)])

    def parts(a):  # the labelled class and the rest; the rest among themselves
        of = a[rows, labels]
        among = np.array([np.delete(row, label) for row, label in zip(a, labels, strict=True)])
        return np.stack([of, 1 - of], 1), among / among.sum(1, keepdims=True)

    match name:
        case "kd(kl=True)":
            return tau**2 * kl(q, p)
        case "mse":
            return ((s - t) ** 2).sum(1) / (2 * s.shape[1])
        case "dkd":
            (pair_s, rest_s), (pair_t, rest_t) = parts(p), parts(q)
            return tau**2 * (kl(pair_t, pair_s) + 8 * kl(rest_t, rest_s))
        case "reverse-kl":
            return tau**2 * kl(p, q)
        case "js":
            return tau**2 * (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def value_of(name, s, t, labels, tau):
    entry = catalog.objective(name).entry
    return losses.of(name, tau)(s, t, *([labels] if entry.labels else []))


ZERO_AT_BEST = ["kd(kl=True)", "mse", "dkd", "reverse-kl", "js"]
LABELS = torch.tensor([0, 3, 1, 2, 2, 0, 4])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("name", ZERO_AT_BEST)
def test_an_objective_equals_its_formula(name, temperature):
    s, t = logits(7, 5, seed=1), logits(7, 5, seed=2)
    expected = written_out(name, s.numpy(), t.numpy(), LABELS.numpy(), temperature)
    np.testing.assert_allclose(value_of(name, s, t, LABELS, temperature).numpy(), expected, rtol=1e-10)
    if name == "kd(kl=True)":  # torch's own
        np.testing.assert_allclose(expected, temperature**2 * F.kl_div(
            (s / temperature).log_softmax(1), (t / temperature).softmax(1), reduction="none").sum(1), rtol=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("name", ZERO_AT_BEST)
def test_the_gradient_of_an_objective_is_the_slope_of_its_formula(name, temperature):
    s, t = logits(7, 5, seed=1).requires_grad_(), logits(7, 5, seed=2)
    value_of(name, s, t, LABELS, temperature).sum().backward()
    at, step = s.detach().numpy(), 1e-6
    for j in range(5):
        move = step * np.eye(5)[j]
        slope = (written_out(name, at + move, t.numpy(), LABELS.numpy(), temperature)
                 - written_out(name, at - move, t.numpy(), LABELS.numpy(), temperature)) / (2 * step)
        np.testing.assert_allclose(s.grad[:, j].numpy(), slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ZERO_AT_BEST)
def test_an_objective_is_zero_without_slope_where_the_student_is_its_teacher(name, dtype):
    z = logits(7, 5, seed=1).to(dtype)
    s = z.clone().requires_grad_()
    value = value_of(name, s, z, LABELS, 2.0)
    value.sum().backward()
    exact = 1e-12 if dtype == torch.float64 else 5e-6  # of a weight of 8 and tau^2 = 4
    assert value.abs().max() < exact and s.grad.abs().max() < exact and s.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ZERO_AT_BEST)
def test_in_half_precision_an_objective_loses_nothing_beyond_its_logits(name, dtype):
    """In float16 a cross-entropy less its optimum is lost beside the entropy; `kl_div` itself keeps three digits."""
    t = logits(50, 5, seed=2).to(dtype)
    s, labels = (t + 0.05 * logits(50, 5, seed=3)).to(dtype), torch.arange(50) % 5
    exact = written_out(name, s.double().numpy(), t.double().numpy(), labels.numpy(), 1.0)
    np.testing.assert_allclose(value_of(name, s, t, labels, 1.0).double().numpy(), exact, rtol=1e-3, atol=3e-6)
    if name == "kd(kl=True)":
        usual = losses.distillation(s, t) - losses.distillation(t, t)
        torchs = F.kl_div(s.log_softmax(1), t.softmax(1), reduction="none").sum(1)
        ours = np.abs(value_of(name, s, t, labels, 1.0).numpy() - exact).mean()
        assert ours < np.abs(torchs.double().numpy() - exact).mean() / 10
        assert ours < np.abs(usual.double().numpy() - exact).mean() / 10


def test_decoupled_distillation_with_the_teachers_own_weight_of_the_rest_is_distillation():
    s, t = logits(7, 5, seed=1), logits(7, 5, seed=2)
    rest = 1 - t.softmax(1).gather(1, LABELS[:, None])[:, 0]
    pair = losses.decoupled(s, t, LABELS, others=0.0)
    among = losses.decoupled(s, t, LABELS, target=0.0, others=1.0)
    torch.testing.assert_close(pair + rest * among, losses.distillation(s, t, kl=True))


def test_the_slope_of_logit_mse_is_that_of_distillation_as_tau_grows():
    s, t = (z - z.mean(1, keepdim=True) for z in (logits(8, 10, seed=1), logits(8, 10, seed=2)))
    s.requires_grad_()
    losses.logit_mse(s, t).sum().backward()
    torch.testing.assert_close(s.grad, gradient(s.detach(), t, 1e5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["kd(kl=True)", "reverse-kl", "js"])
def test_a_class_that_both_rule_out_costs_nothing_and_has_no_slope(name):
    s, t = logits(4, 3, seed=1), logits(4, 3, seed=2)
    expected = value_of(name, s, t, None, 2.0)
    out = torch.full((4, 1), -math.inf, dtype=torch.double)
    s = torch.cat([s, out], 1).requires_grad_()
    value = value_of(name, s, torch.cat([t, out], 1), None, 2.0)
    torch.testing.assert_close(value, expected)
    value.sum().backward()
    assert torch.isfinite(s.grad[:, :3]).all() and (s.grad[:, 3] == 0).all()


@pytest.mark.parametrize("name", [*catalog.OBJECTIVES, "dkd(others=2, target=0.5)"])
def test_any_objective_is_mixed_with_the_labels_likelihood(name):
    s, t = logits(7, 5, seed=1), logits(7, 5, seed=2)
    term = value_of(name, s, t, LABELS, 1.0)
    torch.testing.assert_close(losses.of(name, 1.0, 0.3)(s, t, LABELS), 0.3 * losses.nll(s, LABELS) + 0.7 * term)


def test_settings_of_an_objective_reach_its_loss():
    s, t = logits(7, 5, seed=1), logits(7, 5, seed=2)
    torch.testing.assert_close(losses.of("dkd(others=2)", 4.0)(s, t, LABELS),
                               losses.decoupled(s, t, LABELS, 4.0, others=2.0))


def test_what_the_catalog_says_of_an_objective_is_what_its_function_takes():
    for entry in catalog.OBJECTIVES.values():
        _, _, *more = inspect.signature(catalog.code(entry.code, "losses")).parameters.values()
        usual = {p.name: p.default for p in more}
        assert ("labels" in usual, "temperature" in usual) == (entry.labels, entry.temperature)
        assert {k: v for k, v in usual.items() if k not in ("labels", "temperature")} == entry.options


def test_decoupled_distillation_needs_labels_below_the_classes_and_two_classes():
    with pytest.raises(ValueError, match=r"0 \.\.\. 4"):
        losses.decoupled(logits(7, 5), logits(7, 5), LABELS + 1)
    with pytest.raises(ValueError, match="two classes"):
        losses.decoupled(logits(7, 1), logits(7, 1), 0 * LABELS)
