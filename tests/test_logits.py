"""Logits of nets, arrays and files: the right numbers in the right order, or one sentence."""

import io
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from kdlib import logits
from kdlib.errors import KdlibError
from kdlib.logits import LogitsError, batches, checked, ensemble, of_nets, read, read_labels
from kdlib.losses import ensemble_logits

Z = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
NO_FEATURES = logits.Features(10, 0)


def test_an_error_is_both_a_sentence_of_ours_and_a_value_error():
    assert issubclass(LogitsError, KdlibError) and issubclass(LogitsError, ValueError)


@pytest.mark.parametrize("form", [
    Z.double(), Z.numpy(), Z.numpy().astype(">f4"), Z.numpy().astype(np.longdouble), Z.tolist(),
    Z.T.contiguous().T, Z.flip(0).numpy()[::-1], Z.clone().requires_grad_(), np.repeat(Z.numpy(), 2, 1)[:, ::2]],
    ids=["double", "array", "big-endian", "long double", "lists", "transposed", "backwards", "gradient", "strided"])
def test_numbers_in_any_form_are_the_same_logits(form):
    assert torch.equal(checked(form, "it").float(), Z)


def test_an_array_that_cannot_be_written_to_is_taken_without_a_warning(recwarn):
    array = Z.numpy().copy()
    array.flags.writeable = False
    assert torch.equal(checked(array, "it"), Z) and not recwarn.list


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_low_precision_is_exact_and_computed_with_in_more(kind):
    z = checked(Z.to(kind), "it")
    assert z.dtype == torch.float32 and torch.equal(z, Z.to(kind).float())


def test_half_precision_arrays_and_whole_numbers_are_logits_too():
    assert torch.equal(checked(Z.numpy().astype("f2"), "it"), Z.half().float())
    assert checked(np.arange(6).reshape(3, 2), "it").dtype == torch.float64


@pytest.mark.parametrize(("form", "says"), [
    (Z[0], r"must have logits \[n, classes\] with n > 0 \(got \[5\]\)"), (Z[:0], r"n > 0 \(got \[0, 5\]\)"),
    (Z[:, :0], "n > 0"), (Z[:, :1], "one class.*0 and z side by side"), (Z[None, None], "n > 0"),
    (Z > 0, "real numbers"), (Z.cfloat(), "real numbers"), (Z.cfloat().numpy(), "real numbers"),
    (np.array(["1", "2"]), "must be numbers"), ([["a"]], "must be numbers"), (None, "must be numbers"),
    ([[1, 2], [3]], "must be numbers"), (object(), "must be numbers"),
    (Z.index_fill(0, torch.tensor([3, 7]), math.nan), "in 2 of 40 rows, first in row 3"),
    (Z.masked_fill(Z == Z.max(), math.inf), "NaN, infinity or no possible class in 1 of 40"),
    (Z.index_fill(0, torch.tensor([9]), -math.inf), "no possible class in 1 of 40 rows, first in row 9"),
    (Z.softmax(1), "looks like probabilities.*probabilities=True.*--probabilities"),
    (Z.softmax(1).bfloat16(), "looks like probabilities"), (torch.eye(5), "looks like probabilities")])
def test_what_gives_no_logits_is_refused_in_a_sentence(form, says):
    with pytest.raises(LogitsError, match=f"it.*{says}") as error:
        checked(form, "it")
    assert "\n" not in str(error.value)


def test_probabilities_are_taken_for_what_they_are_said_to_be():
    p = Z.softmax(1)
    assert torch.allclose(checked(p, "it", True).softmax(1), p.double())
    assert torch.equal(checked(p, "it", False), p)
    assert checked(torch.eye(5), "it", True)[0].tolist() == [0, *4 * [-math.inf]]
    with pytest.raises(LogitsError, match="it has no probabilities"):
        checked(Z, "it", True)


def test_a_class_ruled_out_is_kept():
    z = Z.index_fill(1, torch.tensor([2]), -math.inf)
    assert torch.equal(checked(z, "it"), z)


def test_an_ensemble_is_the_log_of_the_mean_probability(monkeypatch):
    members = torch.stack([Z, Z.flip(0), Z.roll(1, 1)]).double()
    monkeypatch.setattr(logits, "ROWS", 7)  # also by parts
    assert torch.allclose(ensemble(list(members)), ensemble_logits(members))
    assert torch.allclose(checked(members, "it"), ensemble_logits(members))
    assert torch.allclose(ensemble(list(members)).exp(), members.softmax(2).mean(0))
    with pytest.raises(LogitsError, match="members of an ensemble differ in shape"):
        ensemble([Z, Z[1:]])


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_files_of_logits_are_read_whatever_their_form(tmp_path):
    z, y = Z.double().numpy(), np.arange(40) % 5
    np.save(tmp_path / "z.npy", z)
    np.savetxt(tmp_path / "z.csv", z, "%.17g", ",")
    np.savetxt(tmp_path / "named.csv", z, "%.17g", ",", header="a,b,c,d,e", comments="", encoding="utf-8-sig")
    np.savetxt(tmp_path / "y.csv", np.column_stack([y, z]), "%.17g", ",", header='"label",a,b,c,d,e', comments="")
    forms = {tmp_path / "z.npy": None, tmp_path / "z.csv": None, tmp_path / "named.csv": None, tmp_path / "y.csv": y,
             saved(tmp_path / "one.npz", anything=z, y=y): None, saved(tmp_path / "w.npz", outputs=z, labels=y): y,
             saved(tmp_path / "two.npz", logits=z, features=z[:, :2]): None}
    for path, labels in forms.items():
        found, of_file = read(path)
        assert np.array_equal(found, z) and np.array_equal(of_file, labels), path
    assert checked(read(saved(tmp_path / "m.npz", logits=np.stack([z, z])))[0], "it").shape == z.shape


def test_files_of_labels_are_read_whatever_their_form(tmp_path):
    y = np.arange(40) % 5
    np.save(tmp_path / "y.npy", y.astype("u1"))
    np.savetxt(tmp_path / "y.csv", y, "%d")
    np.savetxt(tmp_path / "named.csv", y, "%d", header="label", comments="")
    for path in (tmp_path / "y.npy", tmp_path / "y.csv", tmp_path / "named.csv", saved(tmp_path / "a.npz", y=y),
                 saved(tmp_path / "b.npz", labels=y, logits=Z)):
        assert np.array_equal(read_labels(path), y) and read_labels(path).dtype.kind in "iu", path
    with pytest.raises(LogitsError, match="c.npz has 2 arrays and none is called labels"):
        read_labels(saved(tmp_path / "c.npz", a=y, b=y))


def broken(tmp_path):
    (tmp_path / "text.npz").write_text("nothing")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "words.csv").write_text("a,b\n1,x\n")
    (tmp_path / "ragged.csv").write_text("1,2\n3\n")
    (tmp_path / "index.csv").write_text(",a,b\n0,1.5,2\n1,3,4\n")
    whole = io.BytesIO()
    np.savez(whole, z=Z)
    (tmp_path / "cut.npz").write_bytes(whole.getvalue()[:300])
    np.save(tmp_path / "pickle.npy", np.array([{}, None]), allow_pickle=True)
    np.savez(tmp_path / "pickle.npz", z=np.array([[{}, None]]))
    saved(tmp_path / "two.npz", a=Z, b=Z)
    saved(tmp_path / "none.npz", a=Z[0])


@pytest.mark.parametrize(("name", "says"), [
    ("missing.npz", "No such file"), ("text.npz", "cannot be read"), ("empty.npy", "cannot be read"),
    ("cut.npz", "cannot be read"), ("pickle.npy", "allow_pickle"), ("pickle.npz", "allow_pickle"),
    ("words.csv", "cannot be read"), ("ragged.csv", "cannot be read"), ("index.csv", "without an index"),
    ("two.npz", r"2 arrays of rows and columns \(a, b\): call the one meant `logits`"),
    ("none.npz", r"no arrays of rows and columns \(a\)"), ("folder", "cannot be read")])
def test_a_file_without_logits_is_named_in_a_sentence(tmp_path, name, says):
    broken(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(LogitsError, match=f"{name}.*{says}") as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)


def test_an_empty_csv_has_no_rows(tmp_path, recwarn):
    broken(tmp_path)
    with pytest.raises(LogitsError, match="n > 0"):
        checked(read(tmp_path / "empty.csv")[0], "it")
    assert not recwarn.list


X, Y = torch.arange(30.0).reshape(10, 3), torch.arange(10) % 2


class Images(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return X[i], int(Y[i])


@pytest.mark.parametrize("data", [
    (X, Y), (X.numpy(), Y.numpy()), TensorDataset(X, Y), DataLoader(TensorDataset(X, Y), 3), Images(),
    [(X[:4], Y[:4]), (X[4:], Y[4:])], ((a, b) for a, b in zip(X.split(4), Y.split(4), strict=True))],
    ids=["tensors", "arrays", "tensor dataset", "loader", "dataset", "list", "generator"])
def test_inputs_and_labels_come_from_whatever_gives_both(data):
    x, y = zip(*batches(data), strict=True)
    assert torch.equal(torch.cat(x), X) and torch.equal(torch.cat(y), Y)


@pytest.mark.parametrize("data", [X, X.numpy(), TensorDataset(X), DataLoader(X, 3), list(X.split(4))],
                         ids=["tensor", "array", "tensor dataset", "loader", "list"])
def test_inputs_may_come_without_labels(data):
    x, y = zip(*batches(data), strict=True)
    assert torch.equal(torch.cat(x), X) and set(y) == {None}


@pytest.mark.parametrize(("data", "says"), [
    (3, "data must be a loader"), ((X, Y[1:]), "as many labels"), ((X, Y, Y), "pair of inputs"),
    ([{"x": X}], "of inputs"), ([(X, Y, Y)], "got tuple of"),
    (["ab"], "a batch must be"), (torch.tensor(1.0), "data must be inputs")])
def test_data_that_give_no_inputs_are_refused(data, says):
    with pytest.raises(LogitsError, match=says):
        list(batches(data))


def net(width=3, classes=4):
    return nn.Sequential(nn.Linear(width, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, classes))


def test_a_shuffling_loader_gives_all_nets_the_same_inputs():
    class Itself(nn.Module):
        def forward(self, x):
            return x

    nets = {"one": [Itself()], "two": [Itself()]}
    outputs, labels = of_nets(nets, DataLoader(TensorDataset(X, Y), 3, shuffle=True), NO_FEATURES, {})
    assert torch.equal(outputs["one"][0], outputs["two"][0]) and not torch.equal(outputs["one"][0], X)
    assert torch.equal(labels, (outputs["one"][0][:, 0] / 3).long() % 2)


@pytest.mark.parametrize(("options", "shuffled"), [
    ({}, False), ({"shuffle": True}, True), ({"sampler": SubsetRandomSampler(range(5))}, True),
    ({"batch_sampler": BatchSampler(RandomSampler(X), 3, False)}, True),
    ({"batch_sampler": BatchSampler(SequentialSampler(X), 3, False)}, False)])
def test_a_loader_that_shuffles_is_known_to(options, shuffled):
    assert logits.shuffles(DataLoader(TensorDataset(X), **options)) == shuffled
    assert not logits.shuffles(X)


@pytest.mark.parametrize("fails", [False, True])
def test_a_net_is_left_as_it_was_and_evaluated_without_dropout_or_batch_statistics(fails):
    one = net()
    one[1].eval()  # a frozen layer in a net that trains
    before = {name: value.clone() for name, value in one.state_dict().items()}
    modules = {"one": {"0": "0"}}
    if fails:
        with pytest.raises(LogitsError, match=r"one fails on a batch \[10, 2\]"):
            of_nets({"one": [one]}, X[:, :2], logits.Features(10, 0), modules)
    else:
        outputs, _ = of_nets({"one": [one]}, X, logits.Features(10, 0), modules)
        (got,) = outputs["one"]
        assert not got.requires_grad
        one.eval()
        assert torch.allclose(got, one(X))
        one.train()
        one[1].eval()
    assert [module.training for module in one.modules()] == [True, True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())
    assert torch.is_grad_enabled() and all(p.requires_grad and p.grad is None for p in one.parameters())
    assert not any(module._forward_hooks for module in one.modules())


def test_nets_of_different_precision_see_one_loader():
    one = net().eval()
    half = net().eval()
    half.load_state_dict(one.state_dict())
    half.bfloat16()
    outputs, _ = of_nets({"one": [one], "half": [half]}, X.double() / 30, NO_FEATURES, {})
    assert torch.allclose(outputs["one"][0], outputs["half"][0].float(), atol=0.05)
    assert half[0].weight.dtype == torch.bfloat16


def test_a_net_without_weights_and_whole_numbers_as_inputs_are_taken():
    words = torch.randint(7, (10, 4))
    outputs, _ = of_nets({"one": [nn.Sequential(nn.Embedding(7, 5), nn.Flatten())], "two": [nn.Identity()]}, words,
                         NO_FEATURES, {})
    assert outputs["one"][0].shape == (10, 20) and torch.equal(outputs["two"][0], words)


def test_the_logits_of_an_output_object_are_taken():
    class Output(nn.Module):
        def forward(self, x):
            return type("Output", (), {"logits": 2 * x})()

    assert torch.equal(of_nets({"one": [Output()]}, X, NO_FEATURES, {})[0]["one"][0], 2 * X)


@pytest.mark.parametrize(("one", "says"), [
    (nn.LSTM(3, 2), "one must give logits.*got tuple"), (nn.Unflatten(1, (3, 1)), r"got \[10, 3, 1\]"),
    (nn.Flatten(0), r"one must give logits \[10, classes\] for 10 inputs"), (nn.Linear(4, 2), "one fails on a batch")])
def test_a_net_that_gives_no_logits_is_named(one, says):
    with pytest.raises(LogitsError, match=says):
        of_nets({"one": [one]}, X, NO_FEATURES, {})


@pytest.mark.parametrize("data", [X[:0], [], DataLoader(TensorDataset(X[:0]), 3)])
def test_data_without_inputs_are_refused(data):
    with pytest.raises(LogitsError, match="data has no inputs"):
        of_nets({"one": [nn.Identity()]}, data, NO_FEATURES, {})


def test_features_are_of_one_random_sample_of_all_inputs():
    x = torch.arange(300.0)[:, None].expand(300, 2)
    found = []
    for size in (7, 300):  # of a batch
        features = logits.Features(50, seed=1)
        layers = nn.Sequential(nn.Identity(), nn.Identity())
        of_nets({"one": [layers], "two": [layers]}, list(x.split(size)), features,
                {"one": {"a": "0"}, "two": {"a": "1"}})
        assert torch.equal(features.of("one", "a"), x[features.rows])
        assert torch.equal(features.of("one", "a"), features.of("two", "a"))
        assert len(set(features.rows)) == 50 and 100 < np.mean(features.rows) < 200
        found.append(features.rows)
    assert found[0] == found[1]


def test_every_input_is_as_likely_to_be_in_the_sample():
    counts = np.zeros(40)
    for seed in range(300):
        features = logits.Features(10, seed)
        features.sample(15), features.sample(25)
        counts[features.rows] += 1
    assert counts.sum() == 3000 and 45 < counts.min() and counts.max() < 105  # 75 each, of a spread of 7.5


@pytest.mark.parametrize(("module", "says"), [
    ("nine", "one has no module 'nine'; there are 0, 1, 2, 3"), ("1.weight", "one has no module")])
def test_a_module_that_does_not_exist_is_named(module, says):
    with pytest.raises(LogitsError, match=says):
        of_nets({"one": [net()]}, X, logits.Features(10, 0), {"one": {"a": module}})


def test_a_module_that_gives_no_single_tensor_is_named(monkeypatch):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.lstm = nn.ReLU(), nn.ReLU(), nn.LSTM(3, 3)

        def forward(self, x):
            return self.used(self.used(self.lstm(x)[0]))

    for module in ("used", "unused", "lstm"):
        with pytest.raises(LogitsError, match=f"module {module} of one must give one tensor"):
            of_nets({"one": [Twice()]}, X, logits.Features(10, 0), {"one": {module: module}})
    monkeypatch.setattr(logits, "FEATURE_BYTES", 100)
    with pytest.raises(LogitsError, match="lower cka_inputs"):
        of_nets({"one": [net()]}, X, logits.Features(10, 0), {"one": {"0": "0"}})
