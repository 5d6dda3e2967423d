import gzip
import hashlib

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from mnist1d.data import get_dataset_args, make_dataset

from kdlib import augment, data, landscape
from kdlib.models import Ensemble, HalvingConv, PreActResNet, Together, build, stackable
from kdlib.streams import stream

NETS = {"cnn1d": (1, 40), "mlp": (1, 40), "resnet1d-bn": (1, 40), "resnet1d-ln": (1, 40), "lenet5": (1, 28, 28),
        "resnet8-bn": (3, 32, 32), "resnet20-bn": (3, 32, 32)}


@pytest.mark.parametrize("name", NETS)
def test_a_net_gives_ten_logits_and_its_weights_come_from_its_stream(name):
    x = torch.randn(3, *NETS[name])
    one, same, other = (build(name, *s).eval() for s in ((0, "a"), (0, "a"), (1, "a")))
    assert one(x).shape == (3, 10)
    assert torch.equal(one(x), same(x)) and not torch.equal(one(x), other(x))


def test_building_a_net_leaves_the_global_stream_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build("cnn1d", 0)
    assert torch.equal(torch.rand(2), expected)


def test_the_matrix_product_is_the_convolution():
    layer = HalvingConv(4, 6)
    x = torch.randn(5, 20, 4)
    weight = layer.weight.view(6, 3, 4).transpose(1, 2)
    expected = torch.nn.functional.conv1d(x.transpose(1, 2), weight, layer.bias, 2, 1).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("name", NETS)
def test_nets_together_give_what_each_gives_alone(name):
    nets = [build(name, i) for i in range(3)]
    x = torch.randn(3, 4, *NETS[name])
    expected = torch.stack([net(part) for net, part in zip(nets, x, strict=True)])
    together = Together(nets)
    assert (together.stacked is not None) == stackable(name)
    torch.testing.assert_close(together(x), expected)
    if nets[0].channels_last:
        assert nets[0].stem.weight.is_contiguous(memory_format=torch.channels_last)
        assert nets[0].stages[1][0].conv1.weight.grad.is_contiguous(memory_format=torch.channels_last)
    # the nets' own weights are views of the group's: what trains the one trains the other
    together.flat.data.mul_(1.1)
    torch.testing.assert_close(together(x), torch.stack([net(part) for net, part in zip(nets, x, strict=True)]))


def test_lenet5_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in build("lenet5").parameters()) == 61_706


@pytest.mark.parametrize("depth", [8, 20])
def test_a_preactivation_resnet_has_the_parameters_of_its_layers(depth):
    n = depth // 6
    stages = [(16, 16, 0), (16, 32, 16 * 32), (32, 64, 32 * 64)]  # widths and the projection where they differ
    convolutions = 3 * 16 * 9 + sum(9 * a * b + 9 * b * b + short + (n - 1) * 18 * b * b for a, b, short in stages)
    norms = sum(2 * (a + b) + (n - 1) * 4 * b for a, b, _ in stages) + 2 * 64
    head = 64 * 10 + 10
    assert sum(p.numel() for p in build(f"resnet{depth}-bn").parameters()) == convolutions + norms + head


def test_a_resnet_of_a_wrong_depth_is_refused():
    with pytest.raises(ValueError, match="6n \\+ 2"):
        PreActResNet(torch.nn.Conv2d, 3, 18, torch.nn.BatchNorm2d)


def test_crop_and_flip_equals_torchvision_on_the_same_draws():
    x = torch.rand(40, 3, 32, 32)
    out = augment.augment(x, "crop-flip", stream("crop"))
    g = stream("crop")
    moves, flip = torch.randint(0, 9, (2, 40, 1), generator=g), torch.rand(40, 1, generator=g) < 0.5
    for i, image in enumerate(tv.pad(x, [4, 4, 4, 4])):
        expected = tv.crop(image, int(moves[0, i]), int(moves[1, i]), 32, 32)
        assert torch.equal(out[i], tv.hflip(expected) if flip[i] else expected)
    assert 10 < flip.sum() < 30


def test_an_ensemble_predicts_the_mean_probability_and_stays_frozen():
    members = [build("resnet1d-bn", i) for i in range(3)]
    ensemble = Ensemble(members)
    ensemble.train()
    x = torch.randn(4, 1, 40)
    expected = sum(m(x).softmax(1) for m in members) / 3
    torch.testing.assert_close(ensemble(x).exp(), expected)
    assert not any(m.training for m in ensemble.modules())
    assert not any(p.requires_grad for p in ensemble.parameters())


def test_splits_of_a_trial_and_of_two_trials_share_no_signal():
    one, two = (data.load("mnist1d", trial=t, train=60, test=60) for t in (0, 1))
    everything = torch.cat([one.train_x, one.test_x, one.unlabelled(60), two.train_x, two.test_x])
    assert len(everything.flatten(1).unique(dim=0)) == len(everything)


def test_a_draw_is_a_value_and_leaves_numpys_stream_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    np.random.seed(1)
    x, y = data.signals("mnist1d", (9, "train"), 200)
    after = np.random.rand()
    np.random.seed(1)
    assert after == np.random.rand()
    first = x.clone()
    next(tmp_path.rglob("*.npy")).unlink()
    again, _ = data.signals("mnist1d", (9, "train"), 200)
    assert torch.equal(first, again)
    assert data.signals("mnist1d", (9, "train"), 1000)[1].bincount().tolist() == [100] * 10


@pytest.mark.parametrize("name", data.GENERATORS)
def test_signals_are_those_of_the_mnist1d_package_to_the_bit(name):
    args = get_dataset_args()
    vars(args).update(data.GENERATORS[name], num_samples=120, seed=5, train_split=1.0)
    theirs = make_dataset(args)
    ours = data.generate(name, 5, 120)
    assert np.array_equal(ours[:, :-1], theirs["x"].astype(np.float32))
    assert np.array_equal(ours[:, -1], theirs["y"])


def test_a_larger_draw_begins_with_the_smaller_one():
    small, large = (data.signals("mnist1d", (9, "train"), n)[0] for n in (300, 1300))
    assert torch.equal(small, large[:300])


def test_a_damaged_draw_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    data.signals("mnist1d", (9, "train"), 200)
    file = next(tmp_path.rglob("*.npy"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(data.DataError, match=file.name):
        data.signals("mnist1d", (9, "train"), 200)


@pytest.mark.parametrize("policy", ["shift", "scale", "jitter", "combined", "mixup", "noise", "ood", "fresh"])
def test_a_policy_changes_signals_and_repeats_with_its_stream(policy):
    x, pool = torch.randn(50, 1, 40), torch.randn(7, 1, 40)
    one, two = (augment.augment(x, policy, stream("a"), pool) for _ in range(2))
    assert one.shape == x.shape and torch.equal(one, two) and not torch.equal(one, x)


def test_shift_keeps_the_samples_and_moves_by_at_most_four():
    x = torch.arange(40.0).expand(100, 1, 40)
    out = augment.augment(x, "shift", stream("a"))
    assert torch.equal(out.sort(2).values, x)
    assert set(out[:, 0, 20].long().tolist()) == set(range(16, 25))


def test_mixup_draws_one_weight_per_example():
    x = torch.eye(8)[:, None].repeat(1, 1, 5)
    out = augment.augment(x, "mixup", stream("b"))[:, 0]
    weights = out.max(1).values
    torch.testing.assert_close(out.sum(1), torch.full((8,), 5.0))
    assert len(weights.unique()) > 4


def test_noise_replaces_a_fifth_and_fresh_every_fifth():
    x = torch.full((5000, 1, 40), 9.0)
    kept = (augment.augment(x, "noise", stream("c"))[:, 0, 0] == 9).float().mean()
    assert abs(kept - 0.8) < 0.03
    out = augment.augment(x, "fresh", stream("c"), torch.zeros(3, 1, 40))
    assert (out[:, 0, 0] == 0).sum() == 1000


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


def test_mnist_is_checked_on_import(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    raw, source = bytes(16) + bytes(784 * 3), tmp_path / "raw"
    source.mkdir()
    for name in data.MNIST_FILES:
        (source / f"{name}.gz").write_bytes(gzip.compress(raw))
    with pytest.raises(data.DataError, match="not the official file"):
        data.import_mnist(source)
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(data, "MNIST_FILES", {name: digest for name in data.MNIST_FILES if "images" in name})
    data.import_mnist(source)
    assert data._mnist("t10k-images-idx3-ubyte").shape == (3, 28, 28)


def test_more_images_than_mnist_has_and_a_damaged_copy_are_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    with pytest.raises(data.DataError, match="60000 training and 10000 test images"):
        data.load("mnist", trial=0, train=100_000, test=10)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.npy"
    path.parent.mkdir()
    np.save(path, np.zeros((10, 28, 28), np.uint8))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(data.DataError, match=path.name):
        data.load("mnist", trial=0, train=10, test=10)
