"""Real data sets on disk: imported or downloaded once, checked, and kept in one compact form that is memory-mapped.

Under `data_dir()/NAME`: `train-x.npy`, `train-y.npy`, `test-x.npy`, `test-y.npy`. Images are uint8 [n, channels, h, w],
labels uint8 or uint16 [n]. MNIST keeps the order of its official files; other sets are sorted by label and content, so
that they are the same to the byte whatever order the files came in.
"""

import gzip
import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np

from kdlib.paths import atomic, data_dir

# md5 of the unpacked official files (LeCun et al.).
MNIST_FILES = {
    "train-x": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    "train-y": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    "test-x": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
    "test-y": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
}


class DataError(Exception):
    """Data that is missing, damaged or not what it says it is."""


def array(name: str, part: str) -> np.ndarray:
    """One of "train-x", "train-y", "test-x", "test-y" of a stored data set, memory-mapped."""
    path = data_dir() / name / f"{part}.npy"
    if not path.exists():
        raise DataError(f"{name} is not here: run `kdlib data fetch {name}` (needs the internet) or "
                        f"`kdlib data import {name} PATH` with a local copy")
    return read_array(path, f"import or fetch {name} again")


def read_array(path: Path, mend: str) -> np.ndarray:
    """A .npy file, memory-mapped; DataError names a damaged one and says what to do."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}); {mend}") from None


def _keep(name, arrays):
    folder = data_dir() / name
    folder.mkdir(parents=True, exist_ok=True)
    for part, values in arrays.items():
        with atomic(folder / f"{part}.npy") as file:
            np.save(file, values)


def canonical(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Examples sorted by label and content: the same whatever order they came in."""
    digests = [hashlib.sha256(np.ascontiguousarray(image)).digest() for image in x]
    order = sorted(range(len(x)), key=lambda i: (y[i], digests[i]))
    return x[order], y[order]


def import_(name: str, source: Path) -> None:
    """Store a local copy of a data set."""
    if name == "mnist":
        import_mnist(source)
    elif name == "cifar100":
        import_images(name, source)
    else:
        raise DataError(f"unknown data set {name!r}; there are mnist and cifar100 (MNIST-1D is generated)")


def import_images(name: str, source: Path) -> None:
    """Store a zip of class folders, `.../train/<class>/*.png` and `.../test/<class>/*.png`; labels are the sorted
    names of the classes."""
    from PIL import Image

    with zipfile.ZipFile(source) as archive:
        members = [m for m in archive.namelist() if m.endswith(".png")]
        classes = sorted({m.split("/")[-2] for m in members})
        for part in ("train", "test"):
            chosen = [m for m in members if m.split("/")[-3] == part]
            x = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(m)))) for m in chosen]).transpose(0, 3, 1, 2)
            y = np.array([classes.index(m.split("/")[-2]) for m in chosen], np.uint8)
            x, y = canonical(x, y)
            _keep(name, {f"{part}-x": x, f"{part}-y": y})


def import_mnist(source: Path) -> None:
    """Store the four official files found under `source` (a folder or a zip; gzipped or not), checked by md5."""
    arrays = {}
    for part, (file, md5) in MNIST_FILES.items():
        raw = _read_member(Path(source), file)
        if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
            raise DataError(f"{file} in {source} is not the official file (its md5 differs): get it again")
        images = "images" in file
        arrays[part] = np.frombuffer(raw, np.uint8, offset=16 if images else 8).reshape(
            (-1, 1, 28, 28) if images else (-1,))
    _keep("mnist", arrays)


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


def imagenet_files(part: str) -> tuple[list[Path], np.ndarray]:
    """(paths, labels int64 [n]) of ImageNet's "train" or "test"."""
    raise DataError("imagenet cannot be imported yet")
