"""Data as values: a draw is named by data set, trial and size, and is made or read once, then memory-mapped.

Signals: x float32 [n, 1, 40]. Images: x float32 [n, channels, h, w] in [0, 1]. Reviews: x int64 [n, 100] tokens.
Labels: y int64 [n]. Photographs are too many for memory: their x is a list of files, decoded when asked for (`Photos`).
"""

from dataclasses import dataclass

import numpy as np
import torch

from kdlib.catalog import COLOUR, SIGNAL, data_set
from kdlib.data.archives import DataError
from kdlib.data.inputs import Photos
from kdlib.data.signals import drawn
from kdlib.data.stored import array, photo_files
from kdlib.spec import Data
from kdlib.streams import stream


@dataclass(frozen=True)
class Splits:
    """Teacher's training set (D0), test set, and a source of unlabelled inputs (D1 first, then fresh); shapes as at the
    top of this module. DataError where more are asked for than there are."""

    train_x: "torch.Tensor | Photos"
    train_y: torch.Tensor
    test_x: "torch.Tensor | Photos"
    test_y: torch.Tensor
    spec: Data

    def unlabelled(self, n: int) -> "torch.Tensor | Photos":
        """`n` inputs from the data's own distribution that are neither in train nor in test."""
        if n == 0:
            return self.train_x[:0]
        if self.spec.known.drawn is not None:
            return drawn(self.spec.name, (self.spec.trial, "unlabelled"), n)[0]
        order = _order(self.spec)
        if self.spec.train + n > len(order):
            raise DataError(f"{self.spec.name} has {len(order)} training examples; {self.spec.train} + {n} asked for")
        return _inputs(self.spec.name, "train", order[self.spec.train : self.spec.train + n])

    def validation(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`n` labelled examples to choose anything with, as test labels must not: a draw of their own of signals; of
        other data the last of the trial's order, apart from train, and from `unlabelled` unless that asks for nearly
        all there are."""
        name = self.spec.name
        if data_set(name).drawn is not None:
            return drawn(name, (self.spec.trial, "validation"), n)
        order = _order(self.spec)
        if self.spec.train + n > len(order):
            raise DataError(f"{name} has {len(order)} training examples; {self.spec.train} + {n} asked for")
        rows = order[len(order) - n :]
        return _inputs(name, "train", rows), _labels(name, "train-y", rows)


def load(name: str, trial: int, train: int, test: int, split: int | None = None) -> Splits:
    """The named splits of one trial's draw: `train` labelled examples, `test` test examples, more without labels; of
    every trial alike where `split` numbers a shared one.

    For example `load("mnist1d", trial=0, train=1000, test=2000)`. The random streams of the splits, and of
    different trials, never overlap. Shapes as at the top of this module. pydantic.ValidationError on a wrong
    name or size, DataError on data that is not here.
    """
    spec = Data(name=name, trial=trial, train=train, test=test, split=split)
    if data_set(name).drawn is not None:
        return Splits(*drawn(name, (trial, "train"), train), *drawn(name, (trial, "test"), test), spec)
    order, tests = _order(spec), _tests(spec)
    return Splits(_inputs(name, "train", order[:train]), _labels(name, "train-y", order[:train]),
                  _inputs(name, "test", tests), _labels(name, "test-y", tests), spec)


def related(name: str, n: int, trial: int) -> torch.Tensor:
    """`n` images [n, channels, h, w] of a data set that is related to a trial's own, as EMNIST to MNIST; more of them
    begin with the same ones. DataError where there are fewer."""
    there = sum(map(len, _lent(name)))
    if n > there:
        raise DataError(f"{name} has {there} images ({n} asked for)")
    return lent(name, n, stream(trial, name, "subset"))


def _lent(name):
    return [array(name, f"{part}-x") for part in data_set(name).lends]


def lent(name: str, n: int, draws: torch.Generator) -> torch.Tensor:
    """`n` of the images [n, channels, h, w] that a data set lends to others, in a random order, or all there are:
    float32 in [0, 1]."""
    arrays = _lent(name)
    x = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return torch.from_numpy(x[torch.randperm(len(x), generator=draws)[:n].numpy()]).float().div_(255)


def _stored(name):
    """The name under which a data set is on disk."""
    return data_set(name).stored or name


def _order(spec: Data) -> np.ndarray:
    """A trial's (or a shared split's) order of the training examples; the first `train` are the teacher's."""
    labels = _all_labels(spec.name, "train-y")
    if spec.train > len(labels):
        raise DataError(f"{spec.name} has {len(labels)} training examples ({spec.train} asked for)")
    whose = (spec.trial,) if spec.split is None else ("split", spec.split)
    order = torch.randperm(len(labels), generator=stream(*whose, _stored(spec.name), "subset")).numpy()
    return order if spec.known.official_order else _balanced(order, labels)


def _balanced(order, labels):
    """The same order, dealt so that its beginnings hold as many of each class as of any other."""
    labels = labels[order]
    rank = np.empty(len(order), np.int64)
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        rank[rows] = np.arange(len(rows))
    return order[np.argsort(rank, kind="stable")]


def _tests(spec: Data) -> np.ndarray:
    """The test examples, the same in every trial: all, or as many as are asked for."""
    labels = _all_labels(spec.name, "test-y")
    if spec.test > len(labels):
        raise DataError(f"{spec.name} has {len(labels)} test examples ({spec.test} asked for)")
    order = np.arange(len(labels))
    if not spec.known.official_order and spec.test < len(labels):  # they are sorted by class: deal them out
        order = _balanced(order, labels)
    return order[: spec.test]


def _all_labels(name, part):
    return np.asarray(array(_stored(name), part))


def _labels(name, part, rows):
    return torch.from_numpy(_all_labels(name, part)[rows].astype(np.int64))


def _inputs(name, part, rows):
    known, stored = data_set(name), _stored(name)
    if known.inputs.files:
        return Photos(photo_files(stored, part, rows))
    x = torch.from_numpy(array(stored, f"{part}-x")[rows])
    return x.long() if known.inputs.tokens else _to_size(x.float().div_(255), known.inputs)


def _to_size(x, inputs):
    """Images as wide as a kind of inputs is: means of squares of pixels, of those that are stored twice as wide."""
    factor = x.shape[-1] // inputs.shape[-1]
    return x if factor == 1 else torch.nn.functional.avg_pool2d(x, factor)


def _coloured(x, shape):
    """Grey images as colour images [3, h, w], with a black margin where they are smaller."""
    return torch.nn.functional.pad(x, ((shape[-1] - x.shape[-1]) // 2,) * 4).expand(-1, shape[0], -1, -1)


def out_of_domain(name: str, n: int, trial: int, pool: str | None = None) -> torch.Tensor:
    """`n` inputs that no class of a data set looks like: sums of three sines for signals; for images those of `pool`,
    any data set of images, or all of them if there are fewer. Without one, the catalog's, or DataError."""
    g, known = stream(trial, "out-of-domain"), data_set(name)
    if known.drawn is None:
        pool = pool or known.unlike
        if not pool:
            raise DataError(f"the catalog knows no set whose images are unlike {name}'s")
        x = lent(pool, n, g)
        if data_set(pool).inputs.shape[0] < known.inputs.shape[0]:
            x = _coloured(x, COLOUR.shape)
        x = _to_size(x, known.inputs).contiguous()
        if x.shape[1:] != known.inputs.shape:
            raise DataError(f"the images of {pool} are not of the size of {name}'s")
        return x
    frequency, phase = torch.rand(n, 3, 1, generator=g) * 8 + 1, torch.rand(n, 3, 1, generator=g) * 6.2832
    t = torch.linspace(0, 6.2832, SIGNAL.shape[1])
    x = torch.sin(frequency * t + phase).sum(1, keepdim=True)
    return (x - x.mean(2, keepdim=True)) / x.std(2, keepdim=True)


def affine_copies(x: torch.Tensor, copies: int, draws: torch.Generator) -> torch.Tensor:
    """[n * copies, 1, h, w]: every image rotated by up to 15 degrees, scaled by up to 10 % and moved by up
    to 10 %: the stand-in for EMNIST (more inputs, near but not of the data's distribution)."""
    out = []
    for _ in range(copies):
        u = torch.rand(len(x), 4, generator=draws) * 2 - 1
        angle, scale, move = u[:, 0] * 0.2618, 1 + 0.1 * u[:, 1], 0.2 * u[:, 2:]
        cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
        theta = torch.stack([cos, -sin, move[:, 0], sin, cos, move[:, 1]], 1).view(-1, 2, 3)
        for part, t in zip(x.split(5000), theta.split(5000), strict=True):
            grid = torch.nn.functional.affine_grid(t, list(part.shape), align_corners=False)
            out.append(torch.nn.functional.grid_sample(part, grid, align_corners=False))
    return torch.cat(out) if out else x[:0]
