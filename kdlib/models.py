"""The nets. Each maps inputs to logits [n, classes]; `features(x)` gives the hidden stages, for CKA.

Images come with pixels in [0, 1]; the nets for colour images centre and scale them themselves, so that augmentation
works on pixels.
"""

import copy
import itertools
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn as nn
import torch.nn.functional as F

from kdlib import catalog
from kdlib.losses import ensemble_logits
from kdlib.streams import seed_of

if TYPE_CHECKING:  # `kdlib.compare` needs no pydantic
    from kdlib.spec import Initialization


def safe_channels_last(net: nn.Module) -> bool:
    """Whether the net may be laid channels-last: it has no strided 1 x 1 convolution of fewer than 8 channels.

    The backward of such a layer in channels-last form writes outside its memory in oneDNN 3.12 (torch 2.14.1) where the
    processor has AVX2 and no AVX-512: a crash at best (book/reexecute.md).
    """
    return not any(isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and max(layer.stride) > 1
                   and layer.in_channels // layer.groups < 8 for layer in net.modules())


def laid_for(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Inputs [n, ...] in a form that is safe for the net; cropped images come channels-last."""
    return x if safe_channels_last(net) else x.contiguous()


@contextmanager
def evaluated(nets: list[nn.Module]):
    """Nets in eval mode, without gradients; afterwards every module is in the mode it was in."""
    roots = [(net, net.training) for net in nets]
    modes = [(module, module.training) for net in nets for module in net.modules()]
    try:
        for net in nets:
            net.eval()
        with torch.no_grad():
            yield
    finally:
        for net, training in roots:
            net.train(training)  # whatever else a net's own train() does
        for module, training in modes:
            module.training = training


class Net(nn.Module):
    """A net: `features(x)` gives its hidden stages, of the last of which `head` makes logits [n, classes]."""

    # Image nets with many convolutions keep weights and maps channels-last: 1.4 times as fast on a CPU.
    prefers_channels_last = False

    @property
    def channels_last(self) -> bool:
        """How the net is laid: as it prefers, where that is safe."""
        return self.prefers_channels_last and safe_channels_last(self)

    def forward(self, x):
        return self.head(self.features(x)[-1].flatten(1))

    def maps(self, x) -> list[torch.Tensor]:
        """Those of its hidden stages that have places, [n, channels, ...]."""
        return [f for f in self.features(x) if f.ndim > 2]


class StackableNet(Net):
    """A net of matrix products only: inputs [n, 1, length], or [g, n, 1, length] and weights with a leading dimension
    for g stacked nets (`Together`)."""

    def forward(self, x):
        return self.head(self.features(x)[-1].flatten(x.ndim - 2))


class Linear(nn.Linear):
    """x [n, ..., in] -> [n, ..., out]; with weights [g, out, in] of g nets, x [g, n, ..., in] -> [g, n, ..., out]."""

    def forward(self, x):
        if self.weight.ndim == 2:
            return super().forward(x)
        rows = x.reshape(len(x), -1, x.shape[-1])
        return torch.baddbmm(self.bias[:, None], rows, self.weight.mT).view(*x.shape[:-1], -1)


class Windows(Linear):
    """A convolution as one matrix product, of windows of `places` inputs each."""

    def __init__(self, places, width_in, width_out):
        super().__init__(places * width_in, width_out)
        self.places = places


class HalvingConv(Windows):
    """Conv1d(kernel 3, stride 2, padding 1) on [..., length, channels] as one matrix product.

    For nets this small the product is about twice as fast on a CPU as the convolution kernel.
    """

    def __init__(self, width_in, width_out):
        super().__init__(3, width_in, width_out)

    def forward(self, x):
        *lead, length, width = x.shape
        pairs = x.reshape(*lead, length // 2, 2 * width)
        before = F.pad(pairs[..., :-1, width:], (0, 0, 1, 0))
        return super().forward(torch.cat((before, pairs), -1))


class CNN1d(StackableNet):
    """The 3-layer CNN of the MNIST-1D paper (Greydanus & Kobak, 2024; 25 channels there, 24 here: a multiple of 8 is
    faster), over signals [n, 1, 40]."""

    def __init__(self, classes, width=24):
        super().__init__()
        self.first = Windows(5, 1, width)  # kernel 5, stride 2, padding 2
        self.second, self.third = HalvingConv(width, width), HalvingConv(width, width)
        self.head = Linear(5 * width, classes)

    def features(self, x):
        # a copy: on overlapping windows the product itself is ten times slower
        windows = F.pad(x.squeeze(-2), (2, 2)).unfold(-1, 5, 2).contiguous()  # [n, 20, 5]
        one = F.relu(self.first(windows))  # [n, 20, width]
        two = F.relu(self.second(one))  # [n, 10, width]
        return one, two, F.relu(self.third(two))  # [n, 5, width]

    def maps(self, x):
        """As [n, width, length], with the channels in front."""
        return [f.mT for f in super().maps(x)]


class MLP(StackableNet):
    """A perceptron of two hidden layers over signals [n, 1, 40]."""

    def __init__(self, classes, width=100):
        super().__init__()
        self.first, self.second = Linear(40, width), Linear(width, width)
        self.head = Linear(width, classes)

    def features(self, x):
        one = F.relu(self.first(x.flatten(-2)))
        return one, F.relu(self.second(one))


class Block(nn.Module):
    """Pre-activation residual block (He et al., 2016, "Identity mappings"), in as many dimensions as `conv` has."""

    layers, expansion = 2, 1

    def __init__(self, conv, width_in, width, stride, norm):
        super().__init__()
        self.norm1, self.norm2 = norm(width_in), norm(width)
        self.conv1 = conv(width_in, width, 3, stride, 1, bias=False)
        self.conv2 = conv(width, width, 3, 1, 1, bias=False)
        self.shortcut = conv(width_in, width, 1, stride, bias=False) if width != width_in else None

    def forward(self, x):
        # in place: a backward pass needs neither a norm's output nor a convolution's
        h = F.relu(self.norm1(x), inplace=True)
        skip = x if self.shortcut is None else self.shortcut(h)
        return self.conv2(F.relu(self.norm2(self.conv1(h)), inplace=True)).add_(skip)


class Bottleneck(nn.Module):
    """The block of three layers (same paper) that the official code takes from depth 44 on: its middle layer has a
    quarter of the filters that it gives."""

    layers, expansion = 3, 4

    def __init__(self, conv, width_in, width, stride, norm):
        super().__init__()
        inner = width // self.expansion
        self.norm1, self.norm2, self.norm3 = norm(width_in), norm(inner), norm(inner)
        self.conv1 = conv(width_in, inner, 1, bias=False)
        self.conv2 = conv(inner, inner, 3, stride, 1, bias=False)
        self.conv3 = conv(inner, width, 1, bias=False)
        self.shortcut = conv(width_in, width, 1, stride, bias=False) if width != width_in else None

    def forward(self, x):
        h = F.relu(self.norm1(x), inplace=True)
        skip = x if self.shortcut is None else self.shortcut(h)
        h = self.conv2(F.relu(self.norm2(self.conv1(h)), inplace=True))
        return self.conv3(F.relu(self.norm3(h), inplace=True)).add_(skip)


def centred(pixels, channels_last):
    """Colour pixels in [0, 1] to about zero mean and unit variance, for every data set alike."""
    pixels = (pixels - 0.5) * 4
    return pixels.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def layer_norm(width):
    """LayerNorm over channels and places: the moments of each example alone."""
    return nn.GroupNorm(1, width)


def group_norm(width):
    """GroupNorm of the catalog's number of groups."""
    return nn.GroupNorm(catalog.GROUPS, width)


CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
NORMS = {("bn", 1): nn.BatchNorm1d, ("bn", 2): nn.BatchNorm2d} | {
    (name, axes): norm for name, norm in (("ln", layer_norm), ("gn", group_norm)) for axes in CONVOLUTIONS}


class PreActResNet(Net):
    """Pre-activation ResNet of depth 6n + 2: three stages of n blocks, `width` filters in the first, twice and four
    times as many in the others. Of signals x [n, 1, length] (1 axis) or colour images x [n, 3, h, w] (2)."""

    block: type = Block

    def __init__(self, classes, depth=20, norm="bn", width=16, axes=2, channels=3):
        super().__init__()
        conv, norm = CONVOLUTIONS[axes], NORMS[norm, axes]
        self.prefers_channels_last = self.of_pixels = axes == 2
        self.stem = conv(channels, width, 3, 1, 1, bias=False)
        blocks, first = (depth - 2) // (3 * self.block.layers), self.block.expansion * width
        self.stages, widths = nn.ModuleList(), (width, first, 2 * first, 4 * first)
        for stride, (width_in, width_out) in zip((1, 2, 2), itertools.pairwise(widths), strict=True):
            rest = (self.block(conv, width_out, width_out, 1, norm) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(self.block(conv, width_in, width_out, stride, norm), *rest))
        self.norm = norm(widths[-1])
        self.head = nn.Linear(widths[-1], classes)

    def features(self, x):
        x, out = self.stem(centred(x, self.channels_last) if self.of_pixels else x), []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return *out, F.relu(self.norm(x), inplace=True).flatten(2).mean(2)


class BottleneckResNet(PreActResNet):
    """The same of bottleneck blocks, depth 9n + 2, which give four times as many filters."""

    block = Bottleneck


class VGG(Net):
    """VGG-11 or -16 (Simonyan & Zisserman, 2015) for small images: no BatchNorm, one linear layer after the last
    stage. A stage halves the image until nothing is left to halve."""

    prefers_channels_last = True
    LAYERS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}

    def __init__(self, classes, layers, width=64):
        super().__init__()
        self.stages, last = nn.ModuleList(), 3
        for count, out in zip(self.LAYERS[layers], (width, 2 * width, 4 * width, 8 * width, 8 * width), strict=True):
            convs = []
            for _ in range(count):
                conv = nn.Conv2d(last, out, 3, 1, 1)
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # without it nothing this deep starts
                nn.init.zeros_(conv.bias)
                convs += [conv, nn.ReLU(inplace=True)]
                last = out
            self.stages.append(nn.Sequential(*convs))
        self.head = nn.Linear(last, classes)

    def features(self, x):
        x, out = centred(x, self.channels_last), []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
            x = F.max_pool2d(x, 2) if x.shape[-1] > 1 else x
        return *out, x.flatten(2).mean(2)


class LSTM(Net):
    """Bidirectional LSTM of two layers over tokens int64 [n, length], 0 for padding at the end: the mean of its
    outputs over the tokens of a review is its features."""

    def __init__(self, classes, embedding=128, cell=70):
        super().__init__()
        self.embedding = nn.Embedding(catalog.TEXT.tokens, embedding, padding_idx=0)
        self.cells = nn.LSTM(embedding, cell, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * cell, classes)

    def features(self, x):
        outputs, _ = self.cells(self.embedding(x))
        tokens = (x > 0)[..., None]
        return ((outputs * tokens).sum(1) / tokens.sum(1).clamp(min=1),)


class ResNet50(Net):
    """torchvision's ResNet-50 (He et al., 2016), with its stages as features. x [n, 3, 224, 224]."""

    prefers_channels_last = True

    def __init__(self, classes):
        super().__init__()
        from torchvision.models import resnet50

        net = resnet50(num_classes=classes)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        self.head = net.fc

    def features(self, x):
        x, out = self.stem(centred(x, self.channels_last)), []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return *out, x.flatten(2).mean(2)


class LeNet5(Net):
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling: x [n, 1, 28, 28], padded to 32x32."""

    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
        self.head = nn.Linear(84, classes)

    def features(self, x):
        one = F.max_pool2d(F.relu(self.conv1(x)), 2)
        two = F.max_pool2d(F.relu(self.conv2(one)), 2)
        return one, two, F.relu(self.fc2(F.relu(self.fc1(two.flatten(1)))))


class Ensemble(nn.Module):
    """Frozen teachers as one: logits [n, c] are the log of the mean probability (paper, 3.1). Always in eval mode."""

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members).requires_grad_(False)
        for member in members:
            if getattr(member, "channels_last", False):
                member.to(memory_format=torch.channels_last)
        self.eval()

    def train(self, mode=True):
        """A teacher is never trained: this stays in eval mode whatever is asked."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x):
        logits = [member(laid_for(member, x)) for member in self.members]
        return logits[0] if len(logits) == 1 else ensemble_logits(torch.stack(logits))


class Together(nn.Module):
    """g nets of one architecture advanced together: inputs [g, n, ...] -> logits [g, n, c].

    Their weights become views of one vector `flat`, their gradients of its gradient, so that one optimizer call
    updates them all; of stackable nets, the whole step costs about as many calls as that of one net. A net's result
    does not depend on the others in its group (tests/test_runs.py): every operation keeps the nets apart. Frozen
    parameters (without `requires_grad`) stay as they are. ValueError where nets cannot be trained so.
    """

    def __init__(self, nets):
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.stacked = copy.deepcopy(nets[0]) if isinstance(nets[0], StackableNet) else None
        groups = list(zip(*(net.parameters() for net in nets), strict=True))
        for group, target in zip(groups, self.stacked.parameters() if self.stacked is not None else (), strict=False):
            if not target.requires_grad:
                target.data = torch.stack(group).detach()
        self.trained = [group for group in groups if any(p.requires_grad for p in group)]
        if not all(p.requires_grad for group in self.trained for p in group):
            raise ValueError("nets that are trained together need the same parameters frozen")
        types = {p.dtype for group in self.trained for p in group}
        if len(types) != 1:
            raise ValueError(f"a net is trained in one precision (this one's parameters are "
                             f"{', '.join(sorted(map(str, types))) or 'all frozen'})")
        # how a group [g, o, i, h, w] of weights lies in the vector: channels-last where the nets want it so
        channels_last = getattr(nets[0], "channels_last", False)
        orders = [(0, 1, 3, 4, 2) if channels_last and group[0].ndim == 4 else tuple(range(1 + group[0].ndim))
                  for group in self.trained]
        laid = [torch.stack(group).detach().permute(order) for group, order in zip(self.trained, orders, strict=True)]
        values = torch.cat([part.flatten() for part in laid])
        # whole vector registers only: the remainder of a vector is rounded by other instructions
        self.flat = nn.Parameter(F.pad(values, (0, -len(values) % 64)))
        self.flat.grad, start = torch.zeros_like(self.flat), 0
        targets = ([p for p in self.stacked.parameters() if p.requires_grad] if self.stacked is not None
                   else [None] * len(self.trained))
        for group, part, order, target in zip(self.trained, laid, orders, targets, strict=True):
            stop, back = start + part.numel(), sorted(range(len(order)), key=order.__getitem__)
            value, grad = (v[start:stop].view(part.shape).permute(back) for v in (self.flat.data, self.flat.grad))
            for row, p in enumerate(group):
                p.data, p.grad = value[row], grad[row]
            if target is not None:
                target.data, target.grad = value, grad
            start = stop

    def forward(self, x, before: Callable | None = None):
        """`before(i)` is called before net i, unless the nets are stacked."""
        if self.stacked is not None:
            return self.stacked(x)
        out = []
        for i, (net, part) in enumerate(zip(self.nets, x, strict=True)):
            if before:
                before(i)
            logits = net(laid_for(net, part))
            out.append(getattr(logits, "logits", logits))  # of the outputs that transformers give
        return torch.stack(out)

    def part(self) -> None:
        """Give each net memory of its own again: what is saved of one then holds nothing of the others."""
        for group in self.trained:
            for p in group:
                p.data, p.grad = p.data.clone(), None


def build(name: str, data: str, *stream_name, draw: "Initialization" = "torch") -> nn.Module:
    """A net for the inputs and classes of a data set, with weights drawn from the named stream (the global stream is
    left as it was). ValueError names the nets that there are."""
    net, classes = catalog.net(name), catalog.data_set(data).classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(*stream_name))
        made = catalog.code(net.family.code, "models")(classes, **net.parameters)
        return he_fan_out(made) if draw == "he-fan-out" else made


def he_fan_out(net: nn.Module) -> nn.Module:
    """Convolutions drawn from N(0, 2 / (places of the kernel x filters out)), as in the official code; the rest as it
    is."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            nn.init.normal_(layer.weight, std=(2 / (layer.weight[0, 0].numel() * layer.out_channels)) ** 0.5)
        elif isinstance(layer, Windows):
            nn.init.normal_(layer.weight, std=(2 / (layer.places * layer.out_features)) ** 0.5)
    return net
