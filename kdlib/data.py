"""Data as values: a draw is named by data set, trial and size, and is made or read once, then memory-mapped.

Signals: x float32 [n, 1, 40]. Images: x float32 [n, 1, 28, 28] in [0, 1]. Labels: y int64 [n], 10 classes.
"""

import gzip
import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from scipy.interpolate import interp1d
from scipy.ndimage import gaussian_filter1d

from kdlib.paths import atomic, data_dir
from kdlib.spec import Data
from kdlib.streams import seed_of, stream

SIGNAL_LENGTH = 40
# The generator's own settings; "easy" removes what makes MNIST-1D hard: place, shear, background noise.
GENERATORS = {
    "mnist1d": {},
    "mnist1d-easy": {"max_translation": 1, "shear_scale": 0.0, "corr_noise_scale": 0.05},
}
# md5 of the unpacked official files (LeCun et al.).
MNIST_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class DataError(Exception):
    """Data that is missing, damaged or not what it says it is."""


@dataclass(frozen=True)
class Splits:
    """Teacher's training set (D0), test set, and a source of unlabelled inputs (D1 first, then fresh)."""

    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    spec: Data

    def unlabelled(self, n: int) -> torch.Tensor:
        """`n` inputs from the data's own distribution that are neither in train nor in test."""
        if n == 0:
            return self.train_x[:0]
        if self.spec.name == "mnist":
            images, _, order = _mnist_train(self.spec.trial)
            if self.spec.train + n > len(images):
                raise DataError(f"MNIST has {len(images)} training images; {self.spec.train} + {n} asked for")
            return _image_tensor(images[order[self.spec.train : self.spec.train + n]])
        return signals(self.spec.name, (self.spec.trial, "unlabelled"), n)[0]


def load(name: str, trial: int, train: int, test: int) -> Splits:
    """The named splits of one trial's draw: `train` labelled examples, `test` test examples, more without labels.

    For example `load("mnist1d", trial=0, train=1000, test=2000)`. The random streams of the splits, and of
    different trials, never overlap. Shapes as at the top of this module. pydantic.ValidationError on a wrong
    name or size, DataError on data that is not here.
    """
    spec = Data(name=name, trial=trial, train=train, test=test)
    if name == "mnist" and (train > 60_000 or test > 10_000):
        raise DataError(f"MNIST has 60000 training and 10000 test images ({train} and {test} asked for)")
    if spec.name == "mnist":
        images, labels, order = _mnist_train(spec.trial)
        rows = order[: spec.train]
        test = [_mnist(f"t10k-{part}")[: spec.test] for part in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        return Splits(_image_tensor(images[rows]), torch.tensor(labels[rows], dtype=torch.long),
                      _image_tensor(test[0]), torch.tensor(test[1], dtype=torch.long), spec)
    train = signals(spec.name, (spec.trial, "train"), spec.train)
    test = signals(spec.name, (spec.trial, "test"), spec.test)
    return Splits(*train, *test, spec)


def out_of_domain(n: int, trial: int) -> torch.Tensor:
    """[n, 1, 40] signals no digit looks like: sums of three sines, standardised."""
    g = stream(trial, "out-of-domain")
    frequency, phase = torch.rand(n, 3, 1, generator=g) * 8 + 1, torch.rand(n, 3, 1, generator=g) * 6.2832
    t = torch.linspace(0, 6.2832, SIGNAL_LENGTH)
    x = torch.sin(frequency * t + phase).sum(1, keepdim=True)
    return (x - x.mean(2, keepdim=True)) / x.std(2, keepdim=True)


CHUNK = 1000  # draws are made and cached in chunks, so that a larger draw reuses what a smaller one made


def signals(name: str, draw: tuple, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` MNIST-1D signals [n, 1, 40] and labels [n] of a draw; made once, cached on disk."""
    parts = np.concatenate([_signal_chunk(name, draw, i) for i in range(-(-n // CHUNK))])[:n]
    return torch.from_numpy(parts[:, :-1].copy())[:, None], torch.from_numpy(parts[:, -1]).long()


def _signal_chunk(name, draw, index):
    path = data_dir() / "mnist1d" / f"{name}-{'-'.join(map(str, draw))}-{index}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                with atomic(path) as file:
                    np.save(file, generate(name, seed_of("mnist1d", name, *draw, index) % 2**32, CHUNK))
    return _read_array(path, "delete it and it is drawn again")


def _read_array(path, mend):
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}); {mend}") from None


def generate(name: str, seed: int, n: int) -> np.ndarray:
    """float32 [n, 41]: what `mnist1d.data.make_dataset` draws from `seed`, signals and, last, labels.

    The package draws one signal after another from NumPy's global stream. Here the numbers come in the same order
    from a stream of their own and whole batches are filtered and interpolated: the same signals to the bit
    (tests/test_nets_and_data.py compares), about five times faster.
    """
    from mnist1d.data import get_dataset_args, get_templates  # here, since it imports matplotlib

    args = get_dataset_args(as_dict=True) | GENERATORS[name]
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


def _mnist(file: str) -> np.ndarray:
    path = data_dir() / "mnist" / f"{file}.npy"
    if not path.exists():
        raise DataError("MNIST is not here: run `kdlib data fetch mnist` (needs the internet) or "
                        "`kdlib data import mnist PATH` with a local copy")
    return _read_array(path, "import or fetch MNIST again")


def _mnist_train(trial):
    images, labels = _mnist("train-images-idx3-ubyte"), _mnist("train-labels-idx1-ubyte")
    order = torch.randperm(len(images), generator=stream(trial, "mnist", "subset")).numpy()
    return images, labels, order


def _image_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(images))[:, None].float().div_(255)


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


def import_mnist(source: Path) -> None:
    """Store the four official files found under `source` (a folder or a zip; gzipped or not), checked by md5."""
    for file, md5 in MNIST_FILES.items():
        raw = _read_member(Path(source), file)
        if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
            raise DataError(f"{file} in {source} is not the official file (its md5 differs): get it again")
        shape = (-1, 28, 28) if "images" in file else (-1,)
        array = np.frombuffer(raw, np.uint8, offset=16 if "images" in file else 8).reshape(shape)
        path = data_dir() / "mnist" / f"{file}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as out:
            np.save(out, array)


def fetch_mnist() -> None:
    """Download MNIST through torchvision (checksummed there and again here) and store it."""
    from torchvision.datasets import MNIST

    root = data_dir() / "download"
    try:
        MNIST(str(root), download=True)
    except (RuntimeError, OSError) as error:
        raise DataError(f"MNIST could not be downloaded ({error}); offline, use `kdlib data import mnist PATH`"
                        ) from None
    import_mnist(root)


def _read_member(source: Path, file: str) -> bytes:
    limit = 64 << 20  # the largest official file has 47 MB
    if not source.exists():
        raise DataError(f"{source} does not exist")
    try:
        if source.is_dir():
            found = next((p for p in sorted(source.rglob(f"{file}*")) if p.name in (file, f"{file}.gz")), None)
            if found is None:
                raise DataError(f"{file}(.gz) is not under {source}")
            with (gzip.open if found.suffix == ".gz" else open)(found, "rb") as handle:
                return handle.read(limit)
        with zipfile.ZipFile(source) as archive:
            member = next((m for m in archive.namelist() if os.path.basename(m) in (file, f"{file}.gz")), None)
            if member is None:
                raise DataError(f"{file}(.gz) is not in {source}")
            with archive.open(member) as raw, (gzip.open(raw) if member.endswith(".gz") else raw) as handle:
                return handle.read(limit)
    except (EOFError, OSError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise DataError(f"{file} in {source} cannot be read ({error}): get it again") from None
