import pytest
import torch

from kdlib import catalog
from kdlib.catalog import DATA_SETS
from kdlib.models import Ensemble, HalvingConv, StackableNet, Together, build
from kdlib.runs.cost import made_up

NETS = {"cnn1d": "mnist1d", "mlp": "mnist1d", "resnet1d-bn": "mnist1d", "resnet1d-ln": "mnist1d", "lenet5": "mnist",
        "resnet8-bn": "cifar10", "resnet20-ln": "cifar100", "resnet14-gn-w8": "cifar100-16", "vgg11-w8": "cifar100",
        "vgg16-w4": "cifar100-16", "bottleneck11-bn-w8": "cifar100-16", "lstm-small": "imdb"}


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


def test_a_bottleneck_net_has_9n_plus_2_layers_of_which_every_third_is_narrow():
    """He et al. (2016): three stages of n blocks 1x1, 3x3, 1x1; four times as many filters come out."""
    for depth in (56, 110):
        net, n = build(f"bottleneck{depth}-bn", "cifar100", 0), (depth - 2) // 9
        convs = [m for name, m in net.named_modules() if isinstance(m, torch.nn.Conv2d) and "shortcut" not in name]
        assert len(convs) + 1 == depth == 9 * n + 2  # and the linear layer
        assert [c.kernel_size[0] for c in convs[1:]] == [1, 3, 1] * 3 * n
        assert [[c.out_channels for c in convs[1 + 3 * n * i :][:3]] for i in range(3)] == [
            [w, w, 4 * w] for w in (16, 32, 64)]
    features = net.features(torch.rand(2, 3, 32, 32))
    assert [tuple(f.shape[1:]) for f in features[:3]] == [(64, 32, 32), (128, 16, 16), (256, 8, 8)]
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 100)


def test_a_convolution_that_is_a_matrix_product_is_drawn_alike():
    nets = [build("cnn1d-w96", "mnist1d", i, draw="he-fan-out") for i in range(8)]
    for layer, places in (("first", 5), ("second", 3), ("third", 3)):
        weights = torch.stack([getattr(n, layer).weight.detach() for n in nets])
        assert float(weights.std()) == pytest.approx((2 / (places * 96)) ** 0.5, rel=0.05)
    assert torch.equal(nets[0].head.weight, build("cnn1d-w96", "mnist1d", 0).head.weight)


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


def test_an_ensemble_predicts_the_mean_probability_and_stays_frozen():
    members = [build("resnet1d-bn", "mnist1d", i) for i in range(3)]
    ensemble = Ensemble(members)
    ensemble.train()
    x = torch.randn(4, 1, 40)
    expected = sum(m(x).softmax(1) for m in members) / 3
    torch.testing.assert_close(ensemble(x).exp(), expected)
    assert not any(m.training for m in ensemble.modules())
    assert not any(p.requires_grad for p in ensemble.parameters())
