"""Data as values: a draw is named by data set, trial and size, and is made or read once, then memory-mapped.

Signals: x float32 [n, 1, 40]. Images: x float32 [n, channels, h, w] in [0, 1]. Reviews: x int64 [n, 100] tokens.
Labels: y int64 [n]. Photographs are too many for memory: their x is a list of files, decoded when asked for (`Photos`).
"""

import functools
import importlib.metadata
import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from filelock import FileLock
from scipy.interpolate import interp1d
from scipy.ndimage import gaussian_filter1d

from kdlib import augment
from kdlib.archives import DataError
from kdlib.catalog import BASELINE, DATA_SETS, POLICIES, SIGNAL
from kdlib.datasets import array, info, photo_files, read_array
from kdlib.paths import atomic, data_dir
from kdlib.spec import Data
from kdlib.streams import seed_of, stream

SIGNAL_LENGTH = SIGNAL.shape[1]
PIXELS = 100_000_000  # of a photograph at most


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
        if self.spec.known.generator is not None:
            return signals(self.spec.name, (self.spec.trial, "unlabelled"), n)[0]
        order = _order(self.spec)
        if self.spec.train + n > len(order):
            raise DataError(f"{self.spec.name} has {len(order)} training examples; {self.spec.train} + {n} asked for")
        return _tensor(self.spec.name, "train-x", order[self.spec.train : self.spec.train + n])

    def validation(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`n` labelled examples to choose anything with, as test labels must not: a draw of their own of signals; of
        other data the last of the trial's order, apart from train, and from `unlabelled` unless that asks for nearly
        all there are."""
        name = self.spec.name
        if DATA_SETS[name].generator is not None:
            return signals(name, (self.spec.trial, "validation"), n)
        order = _order(self.spec)
        if self.spec.train + n > len(order):
            raise DataError(f"{name} has {len(order)} training examples; {self.spec.train} + {n} asked for")
        rows = order[len(order) - n :]
        return _tensor(name, "train-x", rows), _labels(name, "train-y", rows)


def load(name: str, trial: int, train: int, test: int, split: int | None = None) -> Splits:
    """The named splits of one trial's draw: `train` labelled examples, `test` test examples, more without labels; of
    every trial alike where `split` numbers a shared one.

    For example `load("mnist1d", trial=0, train=1000, test=2000)`. The random streams of the splits, and of
    different trials, never overlap. Shapes as at the top of this module. pydantic.ValidationError on a wrong
    name or size, DataError on data that is not here.
    """
    spec = Data(name=name, trial=trial, train=train, test=test, split=split)
    if DATA_SETS[name].generator is not None:
        return Splits(*signals(name, (trial, "train"), train), *signals(name, (trial, "test"), test), spec)
    order, tests = _order(spec), _tests(spec)
    return Splits(_tensor(name, "train-x", order[:train]), _labels(name, "train-y", order[:train]),
                  _tensor(name, "test-x", tests), _labels(name, "test-y", tests), spec)


class Photos:
    """JPEG files that stand for inputs [n, 3, 224, 224]: a part of them (`x[rows]`) is Photos again, `pixels` decodes
    them with as many threads as there are cores.

    They look as they do in testing or, where `crops` [n, 5] has random numbers for each, as in training.
    """

    side, ndim = 224, 4

    def __init__(self, files, device="cpu", crops: torch.Tensor | None = None):
        self.files, self.device, self.crops = np.asarray(files, dtype=str), torch.device(device), crops

    def __len__(self):
        return len(self.files)

    @property
    def shape(self):
        """Of the pixels: [n, 3, 224, 224]."""
        return torch.Size((len(self), 3, self.side, self.side))

    def numel(self):
        """How many numbers the pixels are."""
        return self.shape.numel()

    def __getitem__(self, rows):
        rows = torch.arange(len(self))[rows.cpu() if isinstance(rows, torch.Tensor) else rows].reshape(-1)
        return Photos(self.files[rows.numpy()], self.device, None if self.crops is None else self.crops[rows])

    def to(self, device):
        """The same, decoded onto another device."""
        return Photos(self.files, device, self.crops)

    def cropped(self, generator: torch.Generator) -> "Photos":
        """Each with a random crop and flip. All is drawn here, so that threads may decode in any order."""
        return Photos(self.files, self.device, torch.rand(len(self), 5, generator=generator))

    def pixels(self, part: slice = slice(None)) -> torch.Tensor:
        """float [n, 3, 224, 224] in [0, 1], on the device; black outside of `part`, which is not decoded."""
        images = np.zeros((len(self), self.side, self.side, 3), np.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for i, image in zip(range(len(self))[part], pool.map(self._decode, range(len(self))[part]), strict=True):
                images[i] = image
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255

    def split(self, size: int):
        """The pixels [size, 3, 224, 224] of so many photos after another."""
        return (self[i : i + size].pixels() for i in range(0, len(self), size))

    def _decode(self, i):
        from PIL import Image

        try:
            with Image.open(self.files[i], formats=("JPEG", "PNG")) as image:
                if image.width * image.height > PIXELS:
                    raise Image.DecompressionBombError
                image = image.convert("RGB")
        except Image.DecompressionBombError:
            raise DataError(f"{self.files[i]} claims to have more than {PIXELS:,} pixels: it is not read") from None
        except Exception as error:  # PIL raises about anything on a malformed file
            raise DataError(f"{self.files[i]} cannot be read ({error}): unpack it again") from None
        *place, flip = (0.0,) * 5 if self.crops is None else self.crops[i].tolist()
        box = _centre(*image.size) if self.crops is None else _crop(*image.size, *place)
        pixels = np.asarray(image.resize((self.side,) * 2, Image.Resampling.BILINEAR, box))
        return pixels[:, ::-1] if flip > 0.5 else pixels


def _centre(width, height):
    """The middle 224 of 256 of the shorter side."""
    side = min(width, height) * 224 / 256
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _crop(width, height, area, aspect, left, top):
    """A box of 8 to 100 % of the area, its sides 3:4 to 4:3, from numbers in [0, 1]; cut where it does not fit."""
    area, aspect = (0.08 + 0.92 * area) * width * height, math.exp((2 * aspect - 1) * math.log(4 / 3))
    w, h = min(width, math.sqrt(area * aspect)), min(height, math.sqrt(area / aspect))
    left, top = left * (width - w), top * (height - h)
    return left, top, left + w, top + h


def pixels(x: "torch.Tensor | Photos", part: slice = slice(None)) -> torch.Tensor:
    """A batch [n, ...] as a net takes it: a tensor as it is, Photos decoded, and black outside of `part`. DataError
    names a photograph that cannot be read."""
    return x.pixels(part) if isinstance(x, Photos) else x


def augmented(x: "torch.Tensor | Photos", policy: str, generator: torch.Generator, pool: torch.Tensor | None = None):
    """`augment.augment`; of photographs, which have the baseline alone, what their crops and flips will be."""
    return x.cropped(generator) if isinstance(x, Photos) else augment.augment(x, policy, generator, pool)


def joined(*parts):
    """Inputs one after another: tensors, or Photos."""
    if isinstance(parts[0], Photos):
        return Photos(np.concatenate([part.files for part in parts]), parts[0].device)
    return torch.cat(parts)


def related(name: str, n: int, trial: int) -> torch.Tensor:
    """`n` images [n, channels, h, w] of a data set that is related to a trial's own, as EMNIST to MNIST; more of them
    begin with the same ones. DataError where there are fewer."""
    there = sum(map(len, _lent(name)))
    if n > there:
        raise DataError(f"{name} has {there} images ({n} asked for)")
    return lent(name, n, stream(trial, name, "subset"))


def _lent(name):
    return [array(name, f"{part}-x") for part in DATA_SETS[name].lends]


def lent(name: str, n: int, generator: torch.Generator) -> torch.Tensor:
    """`n` of the images [n, channels, h, w] that a data set lends to others, in a random order, or all there are:
    float32 in [0, 1]."""
    arrays = _lent(name)
    x = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return torch.from_numpy(x[torch.randperm(len(x), generator=generator)[:n].numpy()]).float().div_(255)


def _stored(name):
    """The name under which a data set is on disk."""
    return DATA_SETS[name].stored or name


@functools.cache
def generator_version() -> str:
    """Of MNIST-1D's generator, which says what its draws hold as a fingerprint does of stored sets."""
    return importlib.metadata.version("mnist1d")


def read_by(spec) -> list[str]:
    """The stored data sets that a run reads, "mnist1d" for any that its generator draws. What a run needs reads no
    other, but for the images that policy ood mixes in."""
    spec = spec.subject
    name = spec.data.name
    if DATA_SETS[name].generator is not None:
        return ["mnist1d"]
    known, pool = DATA_SETS[name], POLICIES[getattr(spec, "policy", BASELINE)].pool
    more = [known.related] * bool(getattr(spec, "related", 0)) + [known.unlike] * (pool == "unlike")
    return [_stored(name), *more]


def fingerprint_here(name: str) -> str | None:
    """The content of a data set as it is here: of a stored one its fingerprint, None where it is not here."""
    if DATA_SETS[name].generator is not None:
        return generator_version()
    with suppress(DataError):
        return info(name)["fingerprint"]


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
    if DATA_SETS[name].inputs.files:
        return photo_files(name, part.removesuffix("-y"))[1]
    return np.asarray(array(_stored(name), part))


def _labels(name, part, rows):
    return torch.from_numpy(_all_labels(name, part)[rows].astype(np.int64))


def _tensor(name, part, rows):
    if DATA_SETS[name].inputs.files:
        return Photos(np.asarray(photo_files(name, part.removesuffix("-x"))[0], dtype=str)[rows])
    x, inputs = torch.from_numpy(array(_stored(name), part)[rows]), DATA_SETS[name].inputs
    if inputs.tokens:
        return x.long()
    return _to_size(x.float().div_(255), inputs)


def _to_size(x, inputs):
    """Images as wide as a kind of inputs is: means of squares of pixels, of those that are stored twice as wide."""
    factor = x.shape[-1] // inputs.shape[-1]
    return x if factor == 1 else torch.nn.functional.avg_pool2d(x, factor)


def out_of_domain(name: str, n: int, trial: int, pool: str | None = None) -> torch.Tensor:
    """`n` inputs that no class of a data set looks like: sums of three sines for signals; for images those of `pool`,
    any data set of images, or all of them if there are fewer. Without one, the catalog's, or DataError."""
    g, known = stream(trial, "out-of-domain"), DATA_SETS[name]
    if known.generator is None:
        if not (pool or known.unlike):
            raise DataError(f"the catalog knows no set whose images are unlike {name}'s")
        x = lent(pool or known.unlike, n, g)
        if x.shape[1] == 1:
            x = torch.nn.functional.pad(x, (2,) * 4).expand(-1, 3, -1, -1)
        return _to_size(x, known.inputs).contiguous()
    frequency, phase = torch.rand(n, 3, 1, generator=g) * 8 + 1, torch.rand(n, 3, 1, generator=g) * 6.2832
    t = torch.linspace(0, 6.2832, SIGNAL_LENGTH)
    x = torch.sin(frequency * t + phase).sum(1, keepdim=True)
    return (x - x.mean(2, keepdim=True)) / x.std(2, keepdim=True)


CHUNK = 1000  # draws are made and cached in chunks, so that a larger draw reuses what a smaller one made


def signals(name: str, draw: tuple, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` MNIST-1D signals [n, 1, 40] and labels [n] of a draw; made once, cached on disk. DataError names a
    damaged file."""
    parts = np.concatenate([_signal_chunk(name, draw, i) for i in range(-(-n // CHUNK))])[:n]
    return torch.from_numpy(parts[:, :-1].copy())[:, None], torch.from_numpy(parts[:, -1]).long()


def _signal_chunk(name, draw, index):
    path = data_dir() / "mnist1d" / generator_version() / f"{name}-{'-'.join(map(str, draw))}-{index}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                with atomic(path) as file:
                    np.save(file, generate(name, seed_of("mnist1d", name, *draw, index) % 2**32, CHUNK))
    values = read_array(path, mend := "delete it and it is drawn again")
    if values.shape != (CHUNK, SIGNAL_LENGTH + 1) or values.dtype != np.float32:
        raise DataError(f"{path} holds {values.dtype} {list(values.shape)} and no signals; {mend}")
    return values


def generate(name: str, seed: int, n: int) -> np.ndarray:
    """float32 [n, 41]: what `mnist1d.data.make_dataset` draws from `seed`, signals and, last, labels.

    The package draws one signal after another from NumPy's global stream. Here the numbers come in the same order
    from a stream of their own and whole batches are filtered and interpolated: the same signals to the bit
    (tests/test_data.py compares), about five times faster.
    """
    from mnist1d.data import get_dataset_args, get_templates  # here, since it imports matplotlib

    args = get_dataset_args(as_dict=True) | DATA_SETS[name].generator
    templates, random = get_templates(), np.random.RandomState(seed)
    labels = np.repeat(templates["y"], n // len(templates["y"]))
    length = args["template_len"] + args["padding"][1]
    low, high = args["padding"]
    places = np.linspace(0, 1, length)
    x, correlated, independent = (np.empty((len(labels), length)) for _ in range(3))
    shear = np.empty((len(labels), 1))
    for i, label in enumerate(labels):
        padded = np.concatenate([templates["x"][label] + 1e-8, np.zeros(low + int(random.rand() * (high - low + 1)))])
        dilated = np.interp(places, np.linspace(0, 1, len(padded)), padded)
        dilated *= 1 + args["scale_coeff"] * (random.rand() - 0.5)
        x[i] = np.roll(dilated, random.randint(0, args["max_translation"]))
        correlated[i], independent[i] = random.randn(length), random.randn(length)
        shear[i] = random.rand() - 0.5
    background = gaussian_filter1d(args["corr_noise_scale"] * correlated, 2, axis=1)
    x = np.where(x != 0, x, background) + args["iid_noise_scale"] * independent
    x -= args["shear_scale"] * shear * np.linspace(-0.5, 0.5, length)
    x = interp1d(places, x, axis=1)(np.linspace(0, 1, SIGNAL_LENGTH))
    order = random.permutation(len(labels))
    x = x[order]
    return np.column_stack([(x - x.mean()) / x.std(), labels[order]]).astype(np.float32)


def affine_copies(x: torch.Tensor, copies: int, generator: torch.Generator) -> torch.Tensor:
    """[n * copies, 1, h, w]: every image rotated by up to 15 degrees, scaled by up to 10 % and moved by up
    to 10 %: the stand-in for EMNIST (more inputs, near but not of the data's distribution)."""
    out = []
    for _ in range(copies):
        u = torch.rand(len(x), 4, generator=generator) * 2 - 1
        angle, scale, move = u[:, 0] * 0.2618, 1 + 0.1 * u[:, 1], 0.2 * u[:, 2:]
        cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
        theta = torch.stack([cos, -sin, move[:, 0], sin, cos, move[:, 1]], 1).view(-1, 2, 3)
        for part, t in zip(x.split(5000), theta.split(5000), strict=True):
            grid = torch.nn.functional.affine_grid(t, list(part.shape), align_corners=False)
            out.append(torch.nn.functional.grid_sample(part, grid, align_corners=False))
    return torch.cat(out) if out else x[:0]
