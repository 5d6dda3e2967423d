"""The nets. Each maps inputs to logits [n, 10]; `features(x)` gives the hidden stages, for CKA."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from kdlib.losses import ensemble_logits
from kdlib.spec import Architecture
from kdlib.streams import seed_of

CLASSES = 10


class Net(nn.Module):
    def forward(self, x):
        return self.head(self.features(x)[-1].flatten(1))


class HalvingConv(nn.Linear):
    """Conv1d(kernel 3, stride 2, padding 1) on [n, length, channels] as one matrix product.

    For nets this small the product is about twice as fast on a CPU as the convolution kernel.
    """

    def __init__(self, width_in, width_out):
        super().__init__(3 * width_in, width_out)

    def forward(self, x):
        n, length, width = x.shape
        pairs = x.reshape(n, length // 2, 2 * width)
        before = F.pad(pairs[:, :-1, width:], (0, 0, 1, 0))
        return super().forward(torch.cat((before, pairs), 2))


class CNN1d(Net):
    """The 3-layer CNN of the MNIST-1D paper (25 channels there, 24 here: a multiple of 8 is faster)."""

    def __init__(self, width=24):
        super().__init__()
        self.first = nn.Linear(5, width)  # kernel 5, stride 2, padding 2
        self.second, self.third = HalvingConv(width, width), HalvingConv(width, width)
        self.head = nn.Linear(5 * width, CLASSES)

    def features(self, x):
        windows = F.pad(x.squeeze(1), (2, 2)).unfold(1, 5, 2)  # [n, 20, 5]
        one = F.relu(self.first(windows))  # [n, 20, width]
        two = F.relu(self.second(one))  # [n, 10, width]
        return one, two, F.relu(self.third(two))  # [n, 5, width]


class MLP(Net):
    def __init__(self, width=100):
        super().__init__()
        self.first, self.second = nn.Linear(40, width), nn.Linear(width, width)
        self.head = nn.Linear(width, CLASSES)

    def features(self, x):
        one = F.relu(self.first(x.flatten(1)))
        return one, F.relu(self.second(one))


class Block(nn.Module):
    """Pre-activation residual block (He et al., 2016) in one dimension."""

    def __init__(self, width_in, width, stride, norm):
        super().__init__()
        self.norm1, self.norm2 = norm(width_in), norm(width)
        self.conv1 = nn.Conv1d(width_in, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv1d(width, width, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv1d(width_in, width, 1, stride, bias=False) if width != width_in else None

    def forward(self, x):
        h = F.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(h)
        return skip + self.conv2(F.relu(self.norm2(self.conv1(h))))


class ResNet1d(Net):
    """Pre-activation ResNet-8 for signals: stages of 16-32-64, one block each."""

    def __init__(self, norm):
        super().__init__()
        self.stem = nn.Conv1d(1, 16, 3, 1, 1, bias=False)
        self.stages = nn.ModuleList(
            [Block(16, 16, 1, norm), Block(16, 32, 2, norm), Block(32, 64, 2, norm)])
        self.norm = norm(64)
        self.head = nn.Linear(64, CLASSES)

    def features(self, x):
        x, out = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return *out, F.relu(self.norm(x)).mean(2)


class LeNet5(Net):
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling, 28x28 inputs padded to 32x32."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
        self.head = nn.Linear(84, CLASSES)

    def features(self, x):
        one = F.max_pool2d(F.relu(self.conv1(x)), 2)
        two = F.max_pool2d(F.relu(self.conv2(one)), 2)
        return one, two, F.relu(self.fc2(F.relu(self.fc1(two.flatten(1)))))


class Ensemble(nn.Module):
    """Frozen teachers as one: logits are the log of the mean probability. Always in eval mode."""

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members).requires_grad_(False)
        self.eval()

    def train(self, mode=True):
        """A teacher is never trained: this stays in eval mode whatever is asked."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x):
        logits = [member(x) for member in self.members]
        return logits[0] if len(logits) == 1 else ensemble_logits(torch.stack(logits))


def build(name: Architecture, *stream_name) -> nn.Module:
    """A net with weights drawn from the named stream (the global stream is left as it was)."""
    make = {
        "cnn1d": CNN1d,
        "mlp": MLP,
        "resnet1d-bn": lambda: ResNet1d(nn.BatchNorm1d),
        "resnet1d-ln": lambda: ResNet1d(lambda width: nn.GroupNorm(1, width)),  # LayerNorm over channels, length
        "lenet5": LeNet5,
    }[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(*stream_name))
        return make()
