"""MNIST-1D: signals that are drawn without end, made in chunks and kept on disk."""

import sys

import numpy as np
import torch
from filelock import FileLock
from scipy.interpolate import interp1d
from scipy.ndimage import gaussian_filter1d

from kdlib.catalog import DRAWN_BY, SIGNAL, data_set
from kdlib.data.archives import DataError
from kdlib.data.stored import read_array, version
from kdlib.paths import atomic, data_dir
from kdlib.streams import seed_of

SIGNAL_LENGTH = SIGNAL.shape[1]
CHUNK = 1000  # draws are made and cached in chunks, so that a larger draw reuses what a smaller one made


def drawn(name: str, of: tuple, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` MNIST-1D signals [n, 1, 40] and labels [n] of the draw `of`; made once, cached on disk. DataError
    names a damaged file."""
    parts = np.concatenate([_signal_chunk(name, of, i) for i in range(-(-n // CHUNK))])[:n]
    return torch.from_numpy(parts[:, :-1].copy())[:, None], torch.from_numpy(parts[:, -1]).long()


def _signal_chunk(name, of, index):
    path = data_dir() / DRAWN_BY / version() / f"{name}-{'-'.join(map(str, of))}-{index}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                with atomic(path) as file:
                    np.save(file, generate(name, seed_of(DRAWN_BY, name, *of, index) % 2**32, CHUNK))
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

    sys.audit("kdlib.draw", name, seed)  # the benchmark listens

    args = get_dataset_args(as_dict=True) | data_set(name).drawn
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
