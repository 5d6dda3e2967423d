"""kdlib.distil: any net, any data, in the book's own loop."""

import copy
import math

import numpy as np
import pytest
import torch
from conftest import same
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18

import kdlib
from kdlib import losses
from kdlib.distillation import DistilError
from kdlib.models import build
from kdlib.spec import Training
from kdlib.streams import stream
from kdlib.train import Source, Unusable, fit, logits_of

X = torch.randn(60, 1, 40, generator=torch.Generator().manual_seed(1))
Y = torch.arange(60) % 10


def net(seed=0, *, dropout=0.0, dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Flatten(), nn.Linear(40, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 10)
        return nn.Sequential(*layers).to(dtype)


TEACHER, TIRELESS = net(7), net()


def distilled(student=None, data=X, **options):
    student = net() if student is None else student
    return kdlib.distil(TEACHER, student, data, **{"steps": 30, "batch": 20, "progress": False, "lr": 1e-2} | options)


def agreement(student):
    return float((student(X).argmax(1) == TEACHER(X).argmax(1)).float().mean())


def test_a_student_comes_to_agree_with_its_teacher_which_stays_as_it_was():
    before, flags = copy.deepcopy(TEACHER.state_dict()), [p.requires_grad for p in TEACHER.parameters()]
    TEACHER.train()
    student = net()
    assert distilled(student, steps=300) is student and not student.training
    assert agreement(net()) < 0.2 and agreement(student) > 0.7
    assert same(before, TEACHER.state_dict()) and TEACHER.training
    assert flags == [p.requires_grad for p in TEACHER.parameters()]
    assert all(p.grad is None for p in TEACHER.parameters())


def test_it_is_the_loop_of_the_books_own_runs():
    ours, theirs = net(), net()
    distilled(ours, temperature=4.0, weight_decay=1e-3)
    z = logits_of(TEACHER, X)
    fit([theirs], Training(steps=30, batch=20), [Source("a", 60, lambda rows: (X[rows], z[rows]),
        stream(0, "distil", "order"))], losses.of("kd", 4.0))
    assert same(ours.state_dict(), theirs.state_dict())


def test_equal_calls_give_equal_bits_whatever_was_drawn_before_and_leave_the_streams():
    torch.manual_seed(5)
    expected = torch.rand(2)
    made = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        made.append(distilled(net(dropout=0.5), augment=lambda x: x + torch.randn_like(x)).state_dict())
        if seed == 5:
            assert torch.equal(torch.rand(2), expected)
    assert same(*made)
    assert not same(made[0], distilled(net(dropout=0.5), seed=1).state_dict())


def test_a_shuffling_loader_gives_equal_bits_too_and_its_last_batch_counts_by_its_mean():
    def once():
        return distilled(data=DataLoader(TensorDataset(X, Y), 25, shuffle=True), batch=None, steps=7).state_dict()

    torch.manual_seed(1)
    first = once()
    torch.manual_seed(2)
    assert same(first, once())
    # three batches of 25, 25 and 10, in order, by hand
    student, usual = net(), net()
    distilled(student, [X[:25], X[25:50], X[50:]], batch=None, steps=3, optimizer=torch.optim.SGD, weight_decay=0)
    optimizer = torch.optim.SGD(usual.parameters(), lr=1e-2)
    for step, x in enumerate((X[:25], X[25:50], X[50:])):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 + math.cos(math.pi * step / 3)) / 2
        optimizer.zero_grad()
        losses.distillation(usual(x), TEACHER(x).detach()).mean().backward()
        optimizer.step()
    for p, q in zip(student.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("data", [X, (X, Y), X.numpy(), (X.numpy(), Y.numpy()), TensorDataset(X, Y),
                                  DataLoader(TensorDataset(X), 20), [(X[:30], Y[:30]), (X[30:], Y[30:])]])
def test_tensors_arrays_sets_and_loaders_are_data(data):
    given = {} if isinstance(data, torch.Tensor | np.ndarray | tuple | TensorDataset) else {"batch": None}
    assert not same(distilled(data=data, **given).state_dict(), net().state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_students_precision_is_kept(dtype):
    student = distilled(net(dtype=dtype), steps=200)
    assert {p.dtype for p in student.parameters()} == {dtype} and agreement(student.float()) > 0.6


def test_what_is_frozen_stays():
    student = net()
    student[1].requires_grad_(False)
    before = copy.deepcopy(student.state_dict())
    after = distilled(student, weight_decay=0.1).state_dict()
    assert [torch.equal(before[name], after[name]) for name in before] == [True, True, False, False]


def test_groups_keep_the_ratio_of_their_rates_along_the_schedule():
    student, seen = net(), []

    class Noting(torch.optim.SGD):
        def step(self, closure=None):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    distilled(student, steps=4, lr=1e-2, warmup=2, optimizer=Noting([
        {"params": student[1].parameters()}, {"params": student[4].parameters(), "lr": 1e-3}], lr=1e-2))
    expected = [1e-2 / 2, 1e-2, 1e-2, 1e-2 / 2]
    np.testing.assert_allclose(seen, [[rate, rate / 10] for rate in expected])


def test_an_optimizer_of_single_tensors_takes_the_course_that_it_takes_in_a_loop_of_ones_own():
    """Adafactor factors the second moments of matrices: of one long vector it would keep them whole."""
    student, usual = net(), net()
    weights = {"lr": 1e-2, "weight_decay": 0.0}
    distilled(student, [X], batch=None, steps=20, final_lr=1e-2,
              optimizer=torch.optim.Adafactor(student.parameters(), **weights))
    optimizer = torch.optim.Adafactor(usual.parameters(), **weights)
    for _ in range(20):
        optimizer.zero_grad()
        losses.distillation(usual(X), TEACHER(X).detach()).mean().backward()
        optimizer.step()
    for p, q in zip(student.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_muon_has_the_matrices_and_another_optimizer_the_rest():
    student = net()
    parts = [[p for p in student.parameters() if (p.ndim == 2) is matrices] for matrices in (True, False)]
    distilled(student, steps=100, optimizer=[torch.optim.Muon(parts[0], lr=1e-2),
                                             torch.optim.AdamW(parts[1], lr=1e-2)])
    assert agreement(student) > 0.5 and all(
        not torch.equal(p, q) for p, q in zip(student.parameters(), net().parameters(), strict=True))


def test_a_net_of_torchvision_learns_from_an_ensemble_of_them():
    images = torch.rand(24, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    teachers, student, rows = [resnet18(num_classes=3) for _ in range(2)], resnet18(num_classes=3), []
    kdlib.distil(teachers, student, (images, torch.arange(24) % 3), steps=4, batch=8, objective="dkd", optimizer="sgd",
                 progress=lambda count, loss: rows.append((count, loss)))
    assert sum(count for count, _ in rows) == 4 and all(math.isfinite(loss) for _, loss in rows)
    assert student.bn1.running_mean.abs().sum() > 0 and not teachers[0].bn1.running_mean.any()


def test_a_net_of_kdlib_that_stacks_is_a_net_like_any():
    student = build("cnn1d", "mnist1d", 0)
    distilled(student, steps=300)
    assert agreement(student) > 0.8


def test_a_policy_and_a_function_change_what_teacher_and_student_see():
    asked = []
    teacher = copy.deepcopy(TEACHER)
    teacher.register_forward_pre_hook(lambda module, given: asked.append(given[0]))
    for augment in ("mixup", lambda x: 2 * x):
        asked.clear()
        kdlib.distil(teacher, net(), X, steps=2, batch=20, augment=augment, progress=False)
        assert not any((asked[-1][0] == x).all() for x in X)


def test_a_function_is_an_objective_and_gets_labels_and_temperature_if_it_asks():
    seen = []

    def mine(student, teacher, labels, temperature):
        seen.append((labels, temperature))
        return (student - teacher).square().mean(1)

    distilled(data=(X, Y), objective=mine, temperature=3.0, steps=1)
    assert seen[-1][0].shape == (20,) and seen[-1][1] == 3.0


class Wrong(nn.Module):
    def __init__(self, out):
        super().__init__()
        self.head, self.out = nn.Linear(40, 10), out

    def forward(self, x):
        return self.out(self.head(x.flatten(1)))


@pytest.mark.parametrize("options, says", [
    ({"student": Wrong(lambda z: z[:, :9])}, r"must give logits \[20, 10\].*got \[20, 9\]"),
    ({"student": Wrong(lambda z: z.no_such)}, r"the student fails on a batch \[20, 1, 40\]"),
    ({"student": 3}, "nn.Modules"), ({"student": TEACHER}, "copy.deepcopy"), ({"steps": 0}, "steps"),
    ({"objective": "kdd"}, "there is no objective 'kdd'; there are kd, mse"),
    ({"objective": "dkd"}, "the data have none"), ({"alpha": 0.5}, "the data have none"),
    ({"objective": "mse", "temperature": 2.0}, "no temperature"), ({"alpha": 2.0}, "alpha"),
    ({"objective": "dkd(other=3)"}, "no setting 'other'; it has target, others"),
    ({"objective": lambda s, t: (s - t).square().mean()}, r"one number an example, \[20\] \(got \[\]\)"),
    ({"objective": lambda s, t: (s - t).detach()[:, 0]}, "no slope"),
    ({"objective": lambda s, t: (s - t)[:, 0] / 0}, "NaN or infinity"),
    ({"objective": lambda s, t: s @ t}, r"the objective fails on logits \[20, 10\]"),
    ({"objective": lambda s: s}, "must take student, teacher"), ({"optimizer": "lion"}, "no optimizer 'lion'"),
    ({"optimizer": 3}, "a torch.optim class"), ({"optimizer": torch.optim.LBFGS([torch.ones(1)])}, "LBFGS"),
    ({"optimizer": torch.optim.SGD([torch.ones(1)])}, "no parameter of the student"),
    ({"augment": "mixed"}, "no augmentation 'mixed'; there are baseline, shift"), ({"augment": "vflip"}, "not one for"),
    ({"augment": "mixup", "data": (X, Y), "alpha": 0.5}, "before augmentation mixup"),
    ({"data": X[:0]}, "data must be inputs"), ({"data": (X, Y[:3])}, "as many labels"), ({"data": iter([X])}, "again"),
    ({"data": [], "batch": None}, "no batches"), ({"data": [X]}, "batches of its own"), ({"lr": -1.0}, "lr"),
    ({"student": nn.Flatten()}, "no parameters: there is nothing to train"),
    ({"student": net().requires_grad_(False)}, "all parameters of the student are frozen"),
    ({"optimizer": torch.optim.LBFGS}, "LBFGS"),
    ({"optimizer": torch.optim.SparseAdam}, "SparseAdam takes no weight_d"),
    ({"optimizer": nn.Linear}, "a torch.optim class"), ({"optimizer": torch.optim.Muon}, "cannot be made: Muon only"),
    ({"augment": lambda x: None}, r"augment must give .*\[20, ...\] for 20 of them \(got NoneType"),
    ({"augment": lambda x: (x, x)}, r"\(got tuple"), ({"augment": lambda x: x[:7]}, r"for 20 of them \(got \[7, 1, 40"),
    ({"augment": lambda x: x.no_such}, r"augment fails on a batch \[20, 1, 40\]: .*no_such"),
    ({"objective": 5}, r"objective must be a name or a function \(got 5\)"), ({"alpha": "half"}, "must be a number"),
    ({"seed": 0.5}, "seed must be a whole number"), ({"alpha": 0.5, "data": (X, Y + 1)}, r"must lie in 0 ... 9"),
    ({"alpha": 0.5, "data": (X, Y.double())}, "cast them"), ({"data": X / 0}, "inputs have NaN or infinity")])
def test_what_cannot_be_distilled_is_a_sentence_before_anything_is_trained(options, says):
    student = options.get("student", None) or net()
    before = copy.deepcopy(student.state_dict()) if isinstance(student, nn.Module) else {}
    with pytest.raises((DistilError, Unusable), match=says) as error:
        distilled(**{"student": student} | options)
    assert "\n" not in str(error.value)
    assert not before or same(before, student.state_dict())


class Tired(Wrong):
    """A net that fails at its third pass in training."""

    def __init__(self):
        super().__init__(self.out)
        self.passes = 0

    def out(self, z):
        self.passes += self.training
        return z if self.passes < 3 else z.no_such


def late(second, labels=Y):
    return {"data": [(X[:20], Y[:20]), (second, labels[: len(second)])], "batch": None}


@pytest.mark.parametrize("options, says", [
    ({"student": nn.Sequential(net()[:2], nn.BatchNorm1d(16), nn.Linear(16, 10))} | late(X[:1]),
     r"BatchNorm cannot be trained on a batch of one example.*drop_last=True"),
    ({"alpha": 0.5} | late(X[:20], Y + 1), r"labels must lie in 0 \.\.\. 9"),
    ({"objective": "dkd"} | late(X, Y - 1), "lie in"),
    (late(X / 0), r"inputs have NaN or infinity, and so has the loss.*at step 1 of 30"), (late(X[:0]), "has no inputs"),
    ({"student": Tired()}, r"training fails on a batch \[20, 1, 40\]: .*no_such"),
    (late(X[:, :, :30]), r"the teacher fails on a batch \[60, 1, 30\]"),
    ({"data": DataLoader([*X, None], 20), "batch": None}, "data fails to give a batch: "),
    ({"optimizer": torch.optim.SparseAdam(TIRELESS.parameters()), "student": TIRELESS}, "training fails.*dense")])
def test_what_fails_in_a_later_batch_is_a_sentence_and_the_student_has_its_own_memory(options, says):
    student = options.get("student") or net()
    with pytest.raises(DistilError, match=says) as error:
        distilled(**{"student": student} | options)
    assert "\n" not in str(error.value) and "learning rate" not in str(error.value)
    assert all(p.untyped_storage().nbytes() == p.numel() * 4 for p in student.parameters())


def test_an_error_of_the_callers_own_progress_is_left_as_it_is():
    def enough(count, loss):
        raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        distilled(progress=enough)


def test_lists_of_numbers_are_data_like_tensors():
    few = X[:20].tolist(), Y[:20].tolist()
    made = [distilled(data=data, steps=3, alpha=0.5).state_dict() for data in (few, (X[:20], Y[:20]))]
    assert same(*made)


def test_a_student_that_diverges_has_its_own_memory_again():
    student = net()
    with pytest.raises(Exception, match="distil: the loss became non-finite at step"):
        distilled(student, lr=1e30, optimizer="sgd", steps=40)
    assert all(p.untyped_storage().nbytes() == p.numel() * 4 for p in student.parameters())
