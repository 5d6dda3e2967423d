import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from conftest import store_images
from mnist1d.data import get_dataset_args, make_dataset

from kdlib import augment, catalog, data, datasets, landscape
from kdlib.catalog import COLOUR, DATA_SETS, SIGNAL
from kdlib.models import Ensemble, HalvingConv, StackableNet, Together, build
from kdlib.runs.cost import made_up
from kdlib.streams import stream

NETS = {"cnn1d": "mnist1d", "mlp": "mnist1d", "resnet1d-bn": "mnist1d", "resnet1d-ln": "mnist1d", "lenet5": "mnist",
        "resnet8-bn": "cifar10", "resnet20-ln": "cifar100", "resnet14-gn-w8": "cifar100-16", "vgg11-w8": "cifar100",
        "vgg16-w4": "cifar100-16", "lstm-small": "imdb"}


def inputs(name, n):
    """Made-up inputs for a net."""
    return made_up(NETS[name], n)


def test_every_family_of_nets_is_tried():
    tried = {catalog.net(name).family for name in NETS}
    assert {family.spelling for family in set(catalog.FAMILIES) - tried} == {"lstm", "resnet50"}


@pytest.mark.parametrize("name", NETS)
def test_what_the_catalog_says_of_a_net_is_so(name):
    known, net = catalog.net(name), build(name, NETS[name])
    assert DATA_SETS[NETS[name]].inputs in known.family.takes
    assert known.family.stackable == isinstance(net, StackableNet)
    assert known.batchnorm == any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in net.modules())


@pytest.mark.parametrize("name", NETS)
def test_a_net_gives_a_logit_for_each_class_and_its_weights_come_from_its_stream(name):
    x = inputs(name, 3)
    one, same, other = (build(name, NETS[name], *s).eval() for s in ((0, "a"), (0, "a"), (1, "a")))
    assert one(x).shape == (3, DATA_SETS[NETS[name]].classes)
    assert torch.equal(one(x), same(x)) and not torch.equal(one(x), other(x))


def test_building_a_net_leaves_the_global_stream_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build("cnn1d", "mnist1d", 0)
    assert torch.equal(torch.rand(2), expected)


def test_the_matrix_product_is_the_convolution():
    layer = HalvingConv(4, 6)
    x = torch.randn(5, 20, 4)
    weight = layer.weight.view(6, 3, 4).transpose(1, 2)
    expected = torch.nn.functional.conv1d(x.transpose(1, 2), weight, layer.bias, 2, 1).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("name", NETS)
def test_nets_together_give_what_each_gives_alone(name):
    nets = [build(name, NETS[name], i) for i in range(3)]
    x = torch.stack([inputs(name, 4) for _ in range(3)])
    expected = torch.stack([net(part) for net, part in zip(nets, x, strict=True)])
    together = Together(nets)
    assert (together.stacked is not None) == catalog.net(name).family.stackable
    torch.testing.assert_close(together(x), expected)
    if name == "resnet8-bn":
        assert nets[0].stem.weight.is_contiguous(memory_format=torch.channels_last)
        assert nets[0].stages[1][0].conv1.weight.grad.is_contiguous(memory_format=torch.channels_last)
    # the nets' own weights are views of the group's: what trains the one trains the other
    together.flat.data.mul_(1.1)
    torch.testing.assert_close(together(x), torch.stack([net(part) for net, part in zip(nets, x, strict=True)]))


def test_convolutions_can_be_drawn_as_in_the_official_code():
    """N(0, 2 / (k^2 x filters out)), and the rest as PyTorch has it."""
    nets = [build("resnet20-bn-w64", "cifar100", i, draw="he-fan-out") for i in range(8)]
    net = nets[0]
    for conv, places, out in ((lambda n: n.stem, 9, 64), (lambda n: n.stages[1][0].shortcut, 1, 128),
                              (lambda n: n.stages[2][2].conv2, 9, 256)):
        weights = torch.stack([conv(n).weight.detach() for n in nets])
        assert float(weights.std()) == pytest.approx((2 / (places * out)) ** 0.5, rel=0.02)
        assert abs(float(weights.mean())) < 0.02 * float(weights.std())
    assert bool((net.norm.weight == 1).all()) and float(net.head.weight.detach().abs().max()) <= 256**-0.5
    assert not torch.equal(net.stem.weight, build("resnet20-bn-w64", "cifar100", 0).stem.weight)


def test_lenet5_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in build("lenet5", "mnist").parameters()) == 61_706


@pytest.mark.parametrize("depth", [8, 20])
def test_a_preactivation_resnet_has_the_parameters_of_its_layers(depth):
    n = depth // 6
    stages = [(16, 16, 0), (16, 32, 16 * 32), (32, 64, 32 * 64)]  # widths and the projection where they differ
    convolutions = 3 * 16 * 9 + sum(9 * a * b + 9 * b * b + short + (n - 1) * 18 * b * b for a, b, short in stages)
    norms = sum(2 * (a + b) + (n - 1) * 4 * b for a, b, _ in stages) + 2 * 64
    head = 64 * 10 + 10
    assert sum(p.numel() for p in build(f"resnet{depth}-bn", "cifar10").parameters()) == convolutions + norms + head


@pytest.mark.parametrize(("name", "data", "published"), [
    ("resnet20-bn", "cifar10", 0.27e6), ("resnet56-bn", "cifar10", 0.85e6), ("resnet110-bn", "cifar10", 1.7e6),
    ("vgg16", "cifar10", 14.7e6), ("resnet50", "imagenet", 25.557e6),
])
def test_parameters_are_as_many_as_published(name, data, published):
    """He et al. (2016), table 6; Simonyan & Zisserman's convolutions; torchvision's model card. To their digits."""
    assert sum(p.numel() for p in build(name, data).parameters()) == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("size", [16, 32])
def test_crop_and_flip_equals_torchvision_on_the_same_draws(size):
    x, margin = torch.rand(40, 3, size, size), size // 8
    out = augment.augment(x, "baseline", stream("crop"))
    g = stream("crop")
    moves, flip = torch.randint(0, 2 * margin + 1, (2, 40, 1), generator=g), torch.rand(40, 1, generator=g) < 0.5
    for i, image in enumerate(tv.pad(x, [margin] * 4)):
        expected = tv.crop(image, int(moves[0, i]), int(moves[1, i]), size, size)
        assert torch.equal(out[i], tv.hflip(expected) if flip[i] else expected)
    assert 10 < flip.sum() < 30


def test_rotation_equals_torchvision_on_the_same_draws():
    x = torch.rand(60, 3, 16, 16)
    angles = torch.rand(60, generator=stream("turn")) * 40 - 20
    expected = torch.stack([tv.rotate(image, float(angle)) for image, angle in zip(x, angles, strict=True)])
    assert (augment.rotation(x, stream("turn")) == expected).float().mean() > 0.999  # a tie may round either way


def test_colour_jitter_equals_torchvision_on_the_same_draws():
    x = torch.rand(60, 3, 16, 16)
    x[3] = 0.5  # grey: no hue
    g, changes = stream("paint"), (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    order = torch.rand(60, 4, generator=g).argsort(1)
    by = torch.cat([torch.rand(60, 3, generator=g) * 0.4 + 0.8, torch.rand(60, 1, generator=g) * 0.4 - 0.2], 1)
    out = augment.colour_jitter(x, stream("paint"))
    for i, image in enumerate(x):
        for kind in order[i].tolist():
            image = changes[kind](image, float(by[i, kind]))
        torch.testing.assert_close(out[i], image, atol=1e-5, rtol=0)


def test_vertical_flip_turns_about_half_of_the_images_over():
    x = torch.rand(400, 3, 16, 16)
    out = augment.vflip(x, stream("over"))
    turned = (out == x.flip(2)).flatten(1).all(1)
    assert 150 < turned.sum() < 250 and torch.equal(out[~turned], x[~turned])


@pytest.mark.parametrize("policy", COLOUR.policies)
def test_every_policy_of_images_keeps_pixels_in_range_and_repeats_with_its_stream(policy):
    x, pool = torch.rand(50, 3, 32, 32), torch.rand(7, 3, 32, 32)
    one, two = (augment.augment(x, policy, stream("a"), pool) for _ in range(2))
    assert torch.equal(one, two) and one.min() >= 0 and one.max() <= 1
    assert not torch.equal(one, augment.augment(x, "baseline", stream("a")))


def test_combined_is_the_three_of_it_one_after_another():
    x, g = torch.rand(30, 3, 16, 16), stream("c")
    expected = x
    for step in (augment.crop_flip, augment.rotation, augment.vflip, augment.colour_jitter):
        expected = step(expected, g)
    assert torch.equal(augment.augment(x, "combined", stream("c")), expected)


def test_only_inputs_that_never_change_keep_their_labels():
    assert [kind for kind in catalog.KINDS if kind.fixed("baseline")] == [SIGNAL, catalog.DIGIT, catalog.TEXT]
    assert not any(kind.fixed("mixup") for kind in catalog.KINDS)


def test_an_ensemble_predicts_the_mean_probability_and_stays_frozen():
    members = [build("resnet1d-bn", "mnist1d", i) for i in range(3)]
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
    x, _ = data.signals("mnist1d", (9, "train"), 200)
    after = np.random.rand()
    np.random.seed(1)
    assert after == np.random.rand()
    first = x.clone()
    next(tmp_path.rglob("*.npy")).unlink()
    again, _ = data.signals("mnist1d", (9, "train"), 200)
    assert torch.equal(first, again)
    assert data.signals("mnist1d", (9, "train"), 1000)[1].bincount().tolist() == [100] * 10


@pytest.mark.parametrize("name", [name for name, known in DATA_SETS.items() if known.generator is not None])
def test_signals_are_those_of_the_mnist1d_package_to_the_bit(name):
    args = get_dataset_args()
    vars(args).update(DATA_SETS[name].generator, num_samples=120, seed=5, train_split=1.0)
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
    with pytest.raises(datasets.DataError, match=file.name):
        data.signals("mnist1d", (9, "train"), 200)


@pytest.mark.parametrize("policy", SIGNAL.policies)
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


def test_subsets_of_images_are_balanced_and_the_rest_is_unlabelled(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 40, 4, (3, 32, 32))
    one = data.load("cifar100", trial=0, train=12, test=8)
    assert one.train_y.bincount().tolist() == [3] * 4 and one.test_y.bincount().tolist() == [2] * 4
    everything = torch.cat([one.train_x, one.unlabelled(28)])
    assert len(everything.flatten(1).unique(dim=0)) == 40
    assert not torch.equal(one.train_x, data.load("cifar100", trial=1, train=12, test=8).train_x)
    with pytest.raises(datasets.DataError, match="cifar100 has 40 training examples; 12 \\+ 29 asked for"):
        one.unlabelled(29)


def test_trials_of_a_shared_split_have_the_same_halves_of_as_many_of_each_class(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 400, 100, (3, 32, 32))
    one, other, own = (data.load("cifar100", trial, 200, 400, split) for trial, split in ((5, 0), (6, 0), (5, None)))
    assert torch.equal(one.train_x, other.train_x) and torch.equal(one.unlabelled(200), other.unlabelled(200))
    assert not torch.equal(one.train_x, own.train_x)
    assert one.train_y.bincount().tolist() == [2] * 100
    both = torch.cat([one.train_x, one.unlabelled(200)]).flatten(1)
    assert len(both.unique(dim=0)) == 400


@pytest.mark.parametrize("name", ["cifar100", "mnist1d"])
def test_what_choices_are_made_with_is_neither_trained_on_nor_tested_on(name, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 40, 4, (3, 32, 32))
    one = data.load(name, trial=0, train=12, test=8)
    x, y = one.validation(8)
    everything = torch.cat([x, one.train_x, one.unlabelled(20), one.test_x])
    assert len(everything.flatten(1).unique(dim=0)) == 48 and len(y) == 8
    if name == "cifar100":
        assert y.bincount().tolist() == [2] * 4
        with pytest.raises(datasets.DataError, match="12 \\+ 29 asked for"):
            one.validation(29)


def test_the_small_form_is_the_mean_of_two_by_two_pixels(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 8, 4, (3, 32, 32))
    full, small = (data.load(name, trial=0, train=8, test=8).train_x for name in ("cifar100", "cifar100-16"))
    assert small.shape == (8, 3, 16, 16) and 0 <= small.min() and small.max() <= 1
    torch.testing.assert_close(small[:, :, 3, 5], full[:, :, 6:8, 10:12].mean((2, 3)))


def test_more_images_than_there_are_and_a_damaged_copy_are_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    with pytest.raises(datasets.DataError, match="mnist is not here"):
        data.load("mnist", trial=0, train=10, test=10)
    store_images("mnist", 30, 10, (1, 28, 28))
    with pytest.raises(datasets.DataError, match="mnist has 30 training examples \\(100 asked for\\)"):
        data.load("mnist", trial=0, train=100, test=10)
    path = tmp_path / "mnist" / "train-x.npy"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(datasets.DataError, match=path.name):
        data.load("mnist", trial=0, train=10, test=10)
