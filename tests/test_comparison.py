"""`kdlib.compare` against scikit-learn, scipy, torchmetrics and the definitions, by hand."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from scipy.spatial.distance import jensenshannon
from scipy.special import logit, rel_entr, softmax
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, cohen_kappa_score, log_loss
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import multiclass_calibration_error
from torchvision.models import resnet18
from torchvision.transforms.functional import to_pil_image

import kdlib
from kdlib import comparison, metrics
from kdlib.losses import ensemble_logits
from kdlib.paths import project_root
from kdlib.stats import estimate

compare = kdlib.compare
N, C = 300, 4


def normal(seed, n=N):
    return torch.randn(n, C, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


Y = torch.randint(C, (N,), generator=torch.Generator().manual_seed(9))
TASK = normal(0) + 1.5 * torch.eye(C)[Y]
T, U, V = (TASK + normal(seed) for seed in (1, 2, 3))
S = TASK + 0.8 * (T - TASK) + 0.4 * normal(4)
QUICK = {"resamples": 100}


def by_definition(s, t, y):
    """Every measure of a student and a teacher as other libraries compute it."""
    s, t, y = s.numpy(), t.numpy(), y.numpy()
    p, q = softmax(s, 1), softmax(t, 1)
    a, b = s.argmax(1), t.argmax(1)
    own = np.arange(len(y)), b
    copied = [(a[i] == b[i]) - np.mean(a[(y == y[i]) & (np.arange(len(y)) != i)] == b[i])
              for i in range(len(y)) if b[i] != y[i]]
    return {
        "agreement": accuracy_score(b, a),
        "kl": rel_entr(q, p).sum(1).mean(), "reverse_kl": rel_entr(p, q).sum(1).mean(),
        "jensen_shannon": np.mean(jensenshannon(p, q, axis=1) ** 2),
        "total_variation": np.maximum(p - q, 0).sum(1).mean(), "kappa": cohen_kappa_score(a, b),
        "log_odds_slope": LinearRegression().fit(logit(q[own])[:, None], logit(p[own])).coef_[0],
        "agreement_right": accuracy_score(b[b == y], a[b == y]),
        "agreement_wrong": accuracy_score(b[b != y], a[b != y]), "copied_errors": np.mean(copied)}


def test_every_number_equals_that_of_sklearn_scipy_and_torchmetrics():
    found = compare(teacher=T, student=S, unseen=[U, V], labels=Y, **QUICK)
    own, *others = (by_definition(S, t, Y) for t in (T, U, V))
    assert set(found.own) == set(found.unseen) == set(found.specific) == set(own)
    for m, value in own.items():
        baseline = np.mean([other[m] for other in others])
        assert found.own[m].mean == pytest.approx(value), m
        assert found.unseen[m].mean == pytest.approx(baseline), m
        assert found.specific[m].mean == pytest.approx(value - baseline), m
    for net, zs in ((found.teacher, [T]), (found.student, [S]), (found.unseen_teachers_alone, [U, V])):
        p = [softmax(z.numpy(), 1) for z in zs]
        assert net["accuracy"].mean == pytest.approx(np.mean([accuracy_score(Y, q.argmax(1)) for q in p]))
        assert net["nll"].mean == pytest.approx(np.mean([log_loss(Y, q, labels=range(C)) for q in p]))
        assert net["ece"].mean == pytest.approx(np.mean([float(multiclass_calibration_error(
            torch.tensor(q), Y, num_classes=C, n_bins=15)) for q in p]), abs=1e-6)
    assert {e.n for e in found.estimates.values()} == {N} and not found.notes


def test_every_number_is_that_of_the_metrics_of_runs():
    found = compare(teacher=T, student=S, labels=Y, **QUICK).own
    right, wrong = metrics.agreement_by_correctness(S, T, Y)
    expected = {
        "agreement": metrics.agreement(S, T),
        "kl": metrics.predictive_kl(T, S), "reverse_kl": metrics.predictive_kl(S, T),
        "jensen_shannon": metrics.jensen_shannon(S, T), "total_variation": metrics.total_variation(S, T),
        "kappa": metrics.cohen_kappa(S, T), "log_odds_slope": metrics.log_odds_slope(S, T), "agreement_right": right,
        "agreement_wrong": wrong, "copied_errors": metrics.copied_errors(S, T, Y)}
    assert {m: e.mean for m, e in found.items()} == pytest.approx(expected)


def test_a_resample_is_the_metric_of_the_inputs_that_it_drew():
    w = torch.randint(4, (N, 2), generator=torch.Generator().manual_seed(5)).double()
    pair, alone = comparison._pair(S, T, Y), comparison._alone(S, Y)
    for i in range(2):
        rows = torch.arange(N).repeat_interleave(w[:, i].long())
        found = {m: float(v[i]) for m, v in (comparison._fidelity(pair, w) | comparison._quality(alone, w)).items()}
        quality = {"accuracy": metrics.accuracy(S[rows], Y[rows]), "nll": metrics.nll(S[rows], Y[rows]),
                   "ece": metrics.ece(S[rows], Y[rows])}
        # an input drawn twice is not another one of its label
        guess_s, guess_t = S.argmax(1), T.argmax(1)
        copied = [float(guess_s[j] == guess_t[j]) - float((guess_s[o] == guess_t[j]).double().mean())
                  for j in rows if guess_t[j] != Y[j] for o in [rows[(Y[rows] == Y[j]) & (rows != j)]]]
        expected = by_definition(S[rows], T[rows], Y[rows]) | quality | {"copied_errors": np.mean(copied)}
        assert found == pytest.approx(expected), i


STATISTICS = {
    "agreement": lambda i: metrics.agreement(S[i], T[i]), "kl": lambda i: metrics.predictive_kl(T[i], S[i]),
    "kappa": lambda i: metrics.cohen_kappa(S[i], T[i]), "log_odds_slope": lambda i: metrics.log_odds_slope(S[i], T[i]),
    "agreement_wrong": lambda i: metrics.agreement_by_correctness(S[i], T[i], Y[i])[1],
    "specific": lambda i: metrics.agreement(S[i], T[i]) - metrics.agreement(S[i], U[i]),
    "ece": lambda i: metrics.ece(T[i], Y[i])}


@pytest.mark.parametrize("name", STATISTICS)
def test_an_interval_is_that_of_scipys_bootstrap(name):
    found = compare(teacher=T, student=S, unseen=[U], labels=Y, resamples=4000)
    e = found.specific["agreement"] if name == "specific" else (found.own | found.teacher)[name]
    theirs = scipy_stats.bootstrap((np.arange(N),), STATISTICS[name], n_resamples=2000, vectorized=False, method="BCa",
                                   rng=np.random.default_rng(0)).confidence_interval
    width = theirs.high - theirs.low
    assert (e.low, e.high) == pytest.approx(tuple(theirs), abs=0.12 * width)
    assert e.low < e.mean < e.high


def test_the_difference_is_paired_by_input():
    """Two teachers that agree with the student on the same inputs differ by little, however wide their intervals."""
    near = T + 0.05 * normal(6)
    found = compare(teacher=T, student=S, unseen=[near], **QUICK)
    own, unseen, specific = (side["agreement"].high - side["agreement"].low
                             for side in (found.own, found.unseen, found.specific))
    assert specific < 0.5 * min(own, unseen)


def test_the_same_call_gives_the_same_intervals_and_another_seed_others():
    one, two = (compare(teacher=T, student=S, labels=Y, **QUICK).estimates for _ in range(2))
    other = compare(teacher=T, student=S, labels=Y, seed=1, **QUICK).estimates
    assert one == two != other and {k: e.mean for k, e in one.items()} == {k: e.mean for k, e in other.items()}


def test_the_resamples_do_not_depend_on_what_is_measured_on_them():
    alone, beside = (compare(teacher=T, student=S, unseen=unseen, **QUICK) for unseen in ([], [U]))
    assert alone.own == beside.own


def test_intervals_of_several_students_are_over_students():
    students = [S, S + 0.5 * normal(7), S + 0.5 * normal(8)]
    found = compare(teacher=T, student=students, unseen=[U], labels=Y, **QUICK)
    agreements = [metrics.agreement(s, T) for s in students]
    assert found.own["agreement"] == estimate(agreements) and found.students == 3
    assert found.specific["kl"].n == 3
    assert found.specific["agreement"].mean == pytest.approx(
        np.mean(agreements) - np.mean([metrics.agreement(s, U) for s in students]))
    assert found.student["nll"].mean == pytest.approx(np.mean([metrics.nll(s, Y) for s in students]))
    assert found.teacher == compare(teacher=T, student=S, unseen=[U], labels=Y, **QUICK).teacher
    assert "over students" in repr(found) and "3 students and their teacher" in repr(found)


def test_no_interval_over_students_goes_beyond_all_inputs():
    near = T.clone()
    near[0] = -T[0]
    own = compare(teacher=T, student=[T, T, near], unseen=[U], **QUICK).own
    assert own["agreement"].mean < 1 == own["agreement"].high and own["agreement"].low > 0.9
    assert own["kl"].high > own["kl"].mean > 0


def test_a_list_is_an_ensemble_where_a_teacher_is_meant():
    whole = ensemble_logits(torch.stack([T, U]))
    expected = compare(teacher=whole, student=S, labels=Y, **QUICK)
    assert compare(teacher=[T, U], student=S, labels=Y, **QUICK) == expected
    assert compare(teacher=torch.stack([T, U]), student=[S], labels=Y, **QUICK) == expected
    for teacher, student in ((torch.stack([T, U]), S.tolist()), ([T.tolist(), U], [S.tolist()])):
        assert compare(teacher=teacher, student=student, labels=Y.tolist(), **QUICK).own["agreement"].mean == (
            expected.own["agreement"].mean)
    students = compare(teacher=T, student=[[S, U], S], **QUICK)
    assert students.own["kl"].mean == pytest.approx(
        (metrics.predictive_kl(T, ensemble_logits(torch.stack([S, U]))) + metrics.predictive_kl(T, S)) / 2)
    foils = compare(teacher=T, student=S, unseen=[[U, V], V], **QUICK)
    assert foils.unseen_teachers == 2 and foils.unseen["agreement"].mean == pytest.approx(
        (metrics.agreement(S, ensemble_logits(torch.stack([U, V]))) + metrics.agreement(S, V)) / 2)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_compared_as_its_own_values_in_double(kind):
    t, s = T.to(kind), S.to(kind)
    expected = by_definition(s.double(), t.double(), Y)
    found = compare(teacher=t, student=s, labels=Y, **QUICK).own
    assert {m: found[m].mean for m in expected} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("as_type", [
    lambda y: y.to(torch.uint8), lambda y: y.to(torch.int16), lambda y: y.to(torch.uint64),
    lambda y: y.numpy().astype("u2"), lambda y: y.numpy().astype(">i4"), lambda y: y.numpy()[::-1].copy()[::-1],
    lambda y: y.tolist()])
def test_labels_of_any_integer_type_give_the_same_number(as_type):
    assert compare(teacher=T, student=S, labels=as_type(Y), **QUICK) == compare(teacher=T, student=S, labels=Y, **QUICK)


def test_labels_on_another_device_are_fetched():
    """Where there is no other: a tensor that says so when it is used without `cpu`."""
    class Elsewhere(torch.Tensor):
        used = 0

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if function is torch.Tensor.cpu:
                Elsewhere.used += 1
                return args[0].as_subclass(torch.Tensor)
            if function not in (torch.Tensor.detach, torch.Tensor.requires_grad.__get__):
                raise AssertionError(f"{function} on another device")
            return super().__torch_function__(function, types, args, kwargs or {})

    there = {name: z.clone().as_subclass(Elsewhere) for name, z in (("teacher", T), ("student", S), ("labels", Y))}
    assert compare(**there, **QUICK) == compare(teacher=T, student=S, labels=Y, **QUICK)
    assert Elsewhere.used == 3


def test_labels_that_are_none_are_refused():
    for wrong, says in ((Y.double(), "whole numbers"), (Y == 1, "whole numbers"), (Y + 1, "lie in 0 ... 3"),
                        (Y - 1, "lie in 0"), (Y[1:], "need as many labels"), (Y[:, None], "as many"),
                        ("a", "cannot be read")):
        with pytest.raises(ValueError, match=says):
            compare(teacher=T, student=S, labels=wrong)


def test_without_labels_what_needs_none_is_measured():
    found = compare(teacher=T, student=S, **QUICK)
    assert set(found.own) == set(comparison.FIDELITY) - {"agreement_right", "agreement_wrong", "copied_errors"}
    assert found.teacher == found.student == {} and "accuracy" not in repr(found)


def test_a_class_that_both_rule_out_does_not_count():
    masked = {name: torch.cat([z, torch.full((N, 1), -math.inf)], 1) for name, z in (
        ("teacher", T), ("student", S), ("unseen", U))}
    masked["unseen"] = [masked["unseen"]]
    found, expected = (compare(**nets, labels=Y, **QUICK) for nets in (
        masked, {"teacher": T, "student": S, "unseen": [U]}))
    for key, e in expected.estimates.items():
        assert found.estimates[key].mean == pytest.approx(e.mean), key
        assert found.estimates[key].high == pytest.approx(e.high), key


def test_a_class_that_only_the_student_rules_out_makes_kl_infinite_and_nothing_else():
    s = S.clone()
    s[5, 2] = -math.inf
    found = compare(teacher=T, student=s, unseen=[U], labels=Y, **QUICK)
    assert found.own["kl"].mean == found.own["kl"].low == found.unseen["kl"].mean == math.inf
    assert math.isnan(found.specific["kl"].mean)
    p, q = softmax(s.numpy(), 1), softmax(T.numpy(), 1)
    assert found.own["reverse_kl"].mean == pytest.approx(rel_entr(p, q).sum(1).mean())
    assert found.own["jensen_shannon"].mean == pytest.approx(np.mean(jensenshannon(p, q, axis=1) ** 2))
    assert math.isfinite(found.own["log_odds_slope"].mean) == (int(T[5].argmax()) != 2)
    assert any("predictive KL: infinite: the student rules out a class" in note for note in found.notes)
    assert "∞" in repr(found) and "–" in repr(found)
    assert json.loads(found.to_json())["estimates"]["kl"]["own"]["mean"] is None
    found.figure()


def test_what_is_not_defined_is_said_to_be():
    right = 5 * torch.eye(C)[Y]
    found = compare(teacher=right, student=S, labels=Y, **QUICK)
    for m in ("agreement_wrong", "copied_errors", "log_odds_slope"):
        assert math.isnan(found.own[m].mean)
    assert [note.split(":")[0] for note in found.notes[:3]] == [
        "slope of log-odds", "agreement where it is wrong", "copies of its errors above chance"]
    assert found.own["agreement_right"].mean == found.own["agreement"].mean


def test_a_net_compared_with_itself_is_equal_in_everything():
    found = compare(teacher=T, student=T, unseen=[U], labels=Y, **QUICK).own
    assert all(found[m].mean == found[m].low == found[m].high == 1 for m in ("agreement", "agreement_right", "kappa"))
    assert found["kl"].mean == 0 == pytest.approx(found["jensen_shannon"].high, abs=1e-12)
    assert found["log_odds_slope"].mean == pytest.approx(1)


def test_one_input_gives_numbers_without_intervals():
    found = compare(teacher=T[:1], student=S[:1], labels=Y[:1], **QUICK)
    assert found.own["kl"].mean == pytest.approx(metrics.predictive_kl(T[:1], S[:1]))
    assert (found.own["kl"].low, found.own["kl"].high, found.own["kl"].n) == (-math.inf, math.inf, 1)
    assert "agreement (%)" in repr(found) and "[" not in repr(found).split("Estimate")[0]
    found.figure()


def test_rare_errors_of_a_teacher_have_an_interval_although_some_resamples_have_none():
    t = 5 * torch.eye(C, dtype=torch.double)[Y] + 0.1 * normal(1)
    t[:2] = t[:2].roll(1, 1)
    e = compare(teacher=t, student=S, labels=Y, **QUICK).own["agreement_wrong"]
    assert 0 <= e.low <= e.mean <= e.high <= 1


def test_two_classes_and_many_are_compared():
    assert compare(teacher=T[:, :2], student=S[:, :2], **QUICK).classes == 2
    many = torch.randn(50, 3000, generator=torch.Generator().manual_seed(0))
    y = torch.arange(50) // 2
    found = compare(teacher=many, student=many + 1e-3, labels=y, **QUICK)
    assert found.own["agreement"].mean == 1 and found.own["copied_errors"].mean == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("change", "says"), [
    ({"student": S[1:]}, r"the student and the teacher differ in shape, \[299, 4\] and \[300, 4\]"),
    ({"unseen": [U, U[:, 1:]]}, "unseen teacher 2 and the teacher differ in shape"),
    ({"unseen": [U, T]}, "unseen teacher 2 is the student's own teacher"), ({"student": []}, "there is no student"),
    ({"teacher": []}, "the teacher is an ensemble of nothing"), ({"student": [S, S.log()]}, "student 2 has NaN"),
    ({"teacher": T.softmax(1)}, "the teacher looks like probabilities"),
    ({"student": nn.Linear(2, 2)}, "the student must be logits, since there are no data: give data for nets"),
    ({"data": T}, "the teacher must be a net, an nn.Module, since there are data"), ({"resamples": 5}, "at least 100"),
    ({"modules": ["layer"]}, "CKA of modules needs nets and data"),
    ({"student": "nowhere.npz"}, "nowhere.npz cannot be"),
    ({"modules": [{"teacher": "a"}]}, "modules must be names"), ({"cka_inputs": 1.5}, "cka_inputs must be"),
    ({"teacher": T[:, :1], "student": S[:, :1]}, "one class"),
    ({"seed": 0.5}, "seed must be a whole number"), ({"labels": Y.double()}, "cast them to integers"),
    ({"student": [0.5, 1.0]}, "must have logits"), ({"teacher": [[1, 2], [3]]}, "must be numbers"),
    ({"teacher": [T, U[1:]]}, "members of an ensemble differ")])
def test_what_cannot_be_compared_is_named_in_a_sentence(change, says):
    with pytest.raises(comparison.LogitsError, match=says) as error:
        compare(**{"teacher": T, "student": S, "labels": Y} | change)
    assert "\n" not in str(error.value)


def test_no_order_of_arguments_can_be_mixed_up():
    with pytest.raises(TypeError, match="positional"):
        compare(T, S)


def test_probabilities_give_what_their_logits_give():
    p = {"teacher": T.softmax(1), "student": S.softmax(1), "unseen": [U.softmax(1)]}
    expected = compare(teacher=T, student=S, unseen=[U], labels=Y, **QUICK)
    found = compare(**p, labels=Y, probabilities=True, **QUICK)
    assert {k: e.mean for k, e in found.estimates.items()} == pytest.approx(
        {k: e.mean for k, e in expected.estimates.items()})


# nets

X = torch.randn(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(200) % C


def net(seed, width=6):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                         nn.Linear(4 * width, C))


def test_nets_on_data_give_what_their_logits_give():
    nets = net(0), net(1), net(2)
    with torch.no_grad():
        t, s, u = (one(X) for one in nets)
    loader = DataLoader(TensorDataset(X, LABELS), 64)
    found = compare(teacher=nets[0], student=nets[1], unseen=[nets[2]], data=loader, **QUICK)
    expected = compare(teacher=t, student=s, unseen=[u], labels=LABELS, **QUICK)
    assert {k: e.mean for k, e in found.estimates.items()} == pytest.approx(
        {k: e.mean for k, e in expected.estimates.items()}, abs=1e-6)
    beside = compare(teacher=nets[0], student=nets[1], unseen=[nets[2]], data=X, labels=LABELS, **QUICK)
    assert beside.own.keys() == found.own.keys()
    pair = compare(teacher=[nets[0], nets[2]], student=nets[1], data=(X, LABELS), **QUICK)
    whole = ensemble_logits(torch.stack([t, u]))
    assert pair.own["kl"].mean == pytest.approx(metrics.predictive_kl(whole, s), abs=1e-6)


def test_a_shuffling_loader_changes_nothing_but_the_draws():
    nets = {"teacher": net(0), "student": net(1), "unseen": [net(2)]}
    found, expected = (compare(**nets, data=DataLoader(TensorDataset(X, LABELS), 33, shuffle=shuffle), **QUICK)
                       for shuffle in (True, False))
    assert {k: e.mean for k, e in found.estimates.items()} == pytest.approx(
        {k: e.mean for k, e in expected.estimates.items()}, abs=1e-6)


def test_labels_beside_a_shuffling_loader_are_refused_and_contradictory_ones_too(tmp_path):
    nets = {"teacher": net(0), "student": net(1)}
    with pytest.raises(ValueError, match="the loader shuffles"):
        compare(**nets, data=DataLoader(TensorDataset(X), 33, shuffle=True), labels=LABELS)
    with pytest.raises(ValueError, match="the labels given and the labels of the data differ"):
        compare(**nets, data=(X, LABELS), labels=LABELS.flip(0))
    for name, y in (("t", Y), ("s", Y.flip(0))):
        np.savez(tmp_path / f"{name}.npz", logits=T, labels=y)
    with pytest.raises(ValueError, match=r"the labels in .*t.npz and the labels in .*s.npz differ"):
        compare(teacher=tmp_path / "t.npz", student=tmp_path / "s.npz")


def test_cka_of_modules_is_that_of_their_features():
    teacher, student, other = net(0), net(1, 9), net(2)
    found = compare(teacher=teacher, student=student, unseen=[other], data=(X, LABELS), **QUICK,
                    modules=["0", {"teacher": "3", "student": "2"}])
    with torch.no_grad():
        first = [metrics.cka(student[0](X), t[0](X)) for t in (teacher, other)]
        second = [metrics.cka(student[:3](X), t[:4](X)) for t in (teacher, other)]
    for name, (own, unseen) in (("cka:0", first), ("cka:3 and 2", second)):
        assert found.own[name].mean == pytest.approx(own) and found.unseen[name].mean == pytest.approx(unseen)
        assert found.specific[name].mean == pytest.approx(own - unseen)
        assert found.own[name].low < own < found.own[name].high and found.own[name].n == 200
    assert "CKA of 3 and 2" in repr(found)
    several = compare(teacher=teacher, student=[student, other], data=X, modules="0", **QUICK).own["cka:0"]
    expected = estimate([first[0], metrics.cka(teacher[0](X).detach(), other[0](X).detach())])
    assert (several.mean, several.low, several.n) == (pytest.approx(expected.mean), pytest.approx(expected.low), 2)


def test_cka_of_a_resample_leaves_out_pairs_of_an_input_with_itself():
    a, b, w = torch.randn(25, 6), torch.randn(25, 40) + 2, torch.randint(4, (25, 3)).double()
    a[:, :3] += b[:, :3]
    found = comparison.Gram(a).cka(comparison.Gram(b), w)
    for i in range(3):
        rows = torch.arange(25).repeat_interleave(w[:, i].long())
        x, y = (f.double()[rows] - f.double().mean(0) for f in (a, b))
        counted = ~(rows[:, None] == rows) | torch.eye(len(rows), dtype=torch.bool)
        k, h = x @ x.T, y @ y.T
        assert float(found[i]) == pytest.approx(float((k * h)[counted].sum() / (
            (k * k)[counted].sum() * (h * h)[counted].sum()).sqrt()))


def test_the_interval_of_cka_holds_for_features_wider_than_inputs():
    """A draw's copies alike would put every one of them above the estimate."""
    torch.manual_seed(0)
    a = torch.randn(100, 400)
    b = a + 2 * torch.randn(100, 400)
    point, rows = metrics.cka(a, b), [torch.randint(100, (100,)) for _ in range(300)]
    w = torch.stack([draw.bincount(minlength=100) for draw in rows], 1)
    draws = comparison.Gram(a).cka(comparison.Gram(b), w.double())
    assert 0.2 < float((draws < point).double().mean()) < 0.8
    assert min(metrics.cka(a[draw], b[draw]) for draw in rows[:50]) > point


def test_constant_features_have_no_cka_and_ensembles_are_refused():
    still = net(0)
    nn.init.zeros_(still[0].weight)
    found = compare(teacher=still, student=net(1), data=(X, LABELS), modules=["0"], **QUICK)
    assert math.isnan(found.own["cka:0"].mean) and "CKA of 0: features that are the same for all inputs." in found.notes
    with pytest.raises(ValueError, match="CKA of modules is of single nets, and the teacher is an ensemble"):
        compare(teacher=[net(0), net(1)], student=net(2), data=X, modules=["0"])
    with pytest.raises(ValueError, match="the student has no module 'fc'; there are 0, 1, 2, 3, 4"):
        compare(teacher=net(0), student=net(1), data=X, modules=[{"teacher": "0", "student": "fc"}])


def test_cka_of_fewer_inputs_than_there_are_is_of_those():
    found = compare(teacher=net(0), student=net(1), data=DataLoader(TensorDataset(X), 7), modules=["4"], cka_inputs=50,
                    **QUICK)
    assert found.own["cka:4"].n == 50 and found.own["kl"].n == 200


# what comes out

FOUND = compare(teacher=T, student=S, unseen=[U, V], labels=Y, **QUICK)


def test_a_frame_and_json_hold_every_estimate():
    frame = FOUND.to_frame()
    assert list(frame.columns) == ["measure", "of", "mean", "low", "high", "n"]
    rows = frame.set_index(["measure", "of"])
    card = json.loads(FOUND.to_json())
    assert len(rows) == len(FOUND.estimates) == 3 * 3 + 3 * len(comparison.FIDELITY)
    for (m, of), e in FOUND.estimates.items():
        assert tuple(rows.loc[m, of]) == (e.mean, e.low, e.high, e.n) == tuple(card["estimates"][m][of].values())
    assert (card["inputs"], card["classes"], card["students"], card["unseen_teachers"]) == (N, C, 1, 2)


def test_a_frame_without_pandas_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(comparison.LogitsError, match="needs pandas"):
        FOUND.to_frame()


def test_the_text_is_aligned_and_has_every_number():
    lines = repr(FOUND).splitlines()
    assert lines[0] == "1 student and its teacher, 2 unseen teachers; 300 inputs, 4 classes"
    header = next(line for line in lines if "own − unseen" in line)
    row = next(line for line in lines if line.startswith("agreement (%)"))
    e = FOUND.specific["agreement"]
    assert row[header.index("own − unseen") :] == e.text(100, 1)
    assert row[header.index("own teacher") :].startswith(FOUND.own["agreement"].text(100, 1))
    markdown = FOUND.to_markdown()
    assert FOUND._repr_markdown_() == markdown
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2 and all(len({line.count("|") for line in table}) == 1 for table in tables)
    assert all(e.text(comparison._measure(m).scale, comparison._measure(m).digits) in markdown
               for (m, _), e in FOUND.estimates.items())


def test_without_an_unseen_teacher_the_text_says_what_is_missing():
    text = repr(compare(teacher=T, student=S, labels=Y, **QUICK))
    assert "give unseen" in text and "own − unseen" not in text and "unseen teachers  " not in text


def test_the_figure_shows_own_and_unseen_on_an_axis_that_reaches_1_and_leaves_the_users_look(recwarn):
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    figure = FOUND.figure()
    shares, nats = figure.axes
    assert shares.get_xlim()[0] <= 0 and shares.get_xlim()[1] >= 1
    assert [t.get_text() for t in shares.get_legend().get_texts()] == ["own teacher", "unseen teachers"]
    names = [t.get_text() for t in shares.get_yticklabels()]
    assert names[0] == "agreement" and "copies of its errors above chance" in names
    drawn = {float(line.get_xdata()[0]) for line in shares.lines if len(line.get_xdata())}
    assert {FOUND.own["agreement"].mean, FOUND.unseen["agreement"].mean} <= drawn
    assert [t.get_text() for t in nats.get_yticklabels()] == ["predictive KL", "reverse KL", "Jensen-Shannon"]
    figure.draw_without_rendering()
    assert dict(plt.rcParams) == before and not recwarn.list
    plt.close(figure)


# how it is reached

def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=project_root()).stdout


def test_importing_kdlib_imports_nothing_and_compare_is_found_however_its_module_was_imported_first():
    assert run("import sys, kdlib; print('torch' in sys.modules, 'numpy' in sys.modules, 'compare' in dir(kdlib))") == (
        "False False True\n")
    assert run("import kdlib.comparison, kdlib; print(kdlib.compare is kdlib.comparison.compare)") == "True\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kdlib.nothing


def test_metrics_need_torch_only_and_compare_neither_pandas_nor_matplotlib():
    code = """
import sys
unneeded = "pandas", "matplotlib", "pydantic", "sklearn", "torchvision", "joblib", "typer", "PIL"
sys.modules.update(dict.fromkeys([*unneeded, "scipy"]))
import torch, kdlib.metrics
z = 2 * torch.eye(2)
print(kdlib.metrics.agreement(z, z))
del sys.modules["scipy"]
import kdlib
print(kdlib.compare(teacher=z, student=z).own["kappa"].mean)
"""
    assert run(code) == "1.0\n1.0\n"


def test_the_command_writes_a_card_of_files_and_prints_the_table(kdlib, tmp_path):
    for name, z in (("t", T), ("s", S), ("u", U), ("v", V)):
        np.savez(tmp_path / f"{name}.npz", logits=z)
    np.save(tmp_path / "y.npy", Y.to(torch.uint8))
    card, text = tmp_path / "card.json", tmp_path / "card.md"
    code, out, error = kdlib("compare", tmp_path / "t.npz", tmp_path / "s.npz", "--unseen", tmp_path / "u.npz",
                             "--unseen", tmp_path / "v.npz", "--labels", tmp_path / "y.npy", "--json", card,
                             "--markdown", text, "--resamples", 100)
    assert (code, error, out) == (0, "", f"{FOUND!r}\n")
    assert text.read_text() == FOUND.to_markdown() and card.read_text() == FOUND.to_json() + "\n"


@pytest.mark.parametrize(("args", "says"), [
    (["t.npz", "nowhere.npz"], "nowhere.npz cannot be read (No such file"), (["t.npz", "p.npz"], "(--probabilities)"),
    (["t.npz", "t.npz", "--unseen", "t.npz"], "unseen teacher 1 is the student's own teacher"),
    (["t.npz", "t.npz", "--labels", "t.npz"], "labels must be whole numbers"),
    (["t.npz", "t.npz", "--resamples", "1"], "at least 100"),
    (["t.npz", "t.npz", "--json", "no/card.json"], "No such file"),
    (["t.npz", "t.npz", "--markdown", "no/card.md"], "No such file"), (["t.npz", "t.npz", "--json", "."], "a folder"),
    (["t.npz", "t.npz", "--markdown", "card.json"], "card.json is written already"),
    (["t.npz", "t.npz", "--json", "t.npz"], "t.npz is an input, which would be written over"),
    (["p.npz", "t.npz", "--logits", "--markdown", "./t.npz"], "t.npz is an input")])
def test_a_command_that_fails_says_why_and_leaves_nothing(kdlib, tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    np.savez("t.npz", logits=T)
    np.savez("p.npz", logits=T.softmax(1))
    code, out, error = kdlib("compare", *args, *(["--json", "card.json"] if "--json" not in args else []))
    assert code == 2 and out == "" and says in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["p.npz", "t.npz"]


def test_the_page_of_the_book_does_what_it_says(tmp_path, monkeypatch, kdlib, capsys):
    monkeypatch.chdir(tmp_path)
    page = (project_root() / "book" / "own_networks.md").read_text()
    for name, seed in (("teacher", 0), ("student", 1), ("unseen", 2)):
        torch.manual_seed(seed)
        torch.save(resnet18(num_classes=3).state_dict(), f"{name}.pt")
    for i in range(12):
        folder = tmp_path / "test" / "abc"[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        to_pil_image(torch.rand(3, 40, 50)).save(folder / f"{i}.png")
    images, files, trials = re.findall(r"```python\n(.*?)```", page, re.S)
    names = {}
    exec(images, names)
    assert {"agreement", "kl", "copied_errors", "cka:layer4"} <= set(names["comparison"].specific)
    assert "CKA of layer4" in capsys.readouterr().out
    exec(files, names)
    (command,) = re.findall(r"```bash\nkdlib (.*?)\n```", page)
    code, out, _ = kdlib(*command.split())
    assert code == 0 and out == re.findall(r"```text\n(.*?)```", page, re.S)[0]
    assert (tmp_path / "card.json").exists() and (tmp_path / "card.md").exists()
    (call,) = re.findall(r"`(kdlib\.compare\(teacher=\"teacher.npz\".*?\))`", page)
    assert repr(eval(call, names)) + "\n" == out
    exec(trials, names)
    assert "Estimate(mean=" in capsys.readouterr().out
    assert {name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`(.*?)`", row)} == {
        *comparison.ALONE, *comparison.FIDELITY, "cka:layer4"}
