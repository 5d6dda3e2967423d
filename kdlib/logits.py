"""Logits of what a user has: any nets on any inputs, tensors, arrays, files of other frameworks.

They come out [n, classes], on the CPU, of at least single precision; NaN and infinity are errors, but -inf is a class
that a net rules out.
"""

import warnings
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from kdlib.errors import KdlibError
from kdlib.losses import ensemble_logits
from kdlib.models import evaluated
from kdlib.streams import stream

ROWS = 4096  # at a time where all of them, in double precision, would be large
FEATURE_BYTES = 2**32  # at most, of the features that are kept for CKA


class LogitsError(KdlibError, ValueError):
    """Nets, inputs, logits, labels or files that give nothing to compare."""


def tensor(value, name: str) -> torch.Tensor:
    """A tensor, an array of any framework that NumPy takes, or numbers in lists, as a tensor on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    try:
        array = np.asarray(value)
        array = np.array(array.tolist()) if array.dtype.kind == "O" else array  # numbers kept as objects, by pandas say
    except (TypeError, ValueError):  # rows of different lengths
        array = np.array(None)
    if array.dtype.name.startswith(("bfloat16", "float8")):  # JAX's, which torch does not know
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiubc":
        raise LogitsError(f"{name} must be numbers: a tensor, an array or a file of them (got {type(value).__name__})")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    # a copy in the machine's own byte order: torch takes neither another one, nor strides backwards, nor read-only
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def listed(value) -> int:
    """How deep numbers lie in lists, 2 of logits [n, classes]; 0 of whatever is something else."""
    depth = 0
    while isinstance(value, list | tuple) and value:
        value, depth = value[0], depth + 1
    return depth if isinstance(value, Real) else 0


def checked(value, name: str, probabilities: bool | None = None) -> torch.Tensor:
    """Logits [n, classes] of a tensor or array [n, classes], or [members, n, classes] of an ensemble.

    With `probabilities` it holds probabilities, of which the logs are taken; None takes what looks like them for a
    mistake, False for logits."""
    z = tensor(value, name)
    if z.ndim == 3 and len(z):
        return ensemble([checked(member, f"a member of {name}", probabilities) for member in z])
    if z.ndim != 2 or z.numel() == 0:
        raise LogitsError(f"{name} must have logits [n, classes] with n > 0 (got {list(z.shape)})")
    if z.is_complex() or z.dtype == torch.bool:
        raise LogitsError(f"{name} must have logits that are real numbers (got {z.dtype})")
    if z.shape[1] == 1:
        raise LogitsError(f"{name} has one class, which leaves nothing to compare; of a net with one output z for two "
                          "classes, the logits are 0 and z side by side")
    z = z if z.dtype in (torch.float32, torch.float64) else z.double() if not z.is_floating_point() else z.float()
    bad = ~((z < torch.inf).all(1) & (z > -torch.inf).any(1))  # what is NaN is not less either
    if bad.any():
        raise LogitsError(f"{name} has NaN, infinity or no possible class in {int(bad.sum())} of {len(z)} rows, first "
                          f"in row {int(bad.nonzero()[0])}; -inf stands for a class that is ruled out")
    looks = bool(((z >= 0) & (z <= 1)).all()) and bool(((z.sum(1) - 1).abs() < 0.01).all())  # rounded to bfloat16, too
    if looks and probabilities is None:
        raise LogitsError(f"{name} looks like probabilities: rows of numbers in [0, 1] that sum to 1; say "
                          "probabilities=True (--probabilities) if they are, =False (--logits) if they are logits")
    if probabilities and not looks:
        raise LogitsError(f"{name} has no probabilities: its rows are not numbers in [0, 1] that sum to 1; give logits "
                          "of all nets or probabilities of all")
    return z.double().log() if probabilities else z


def ensemble(members: list[torch.Tensor]) -> torch.Tensor:
    """log of the mean probability of logits [n, classes], of one net its own logits."""
    if len(members) == 1:
        return members[0]
    if len({m.shape for m in members}) > 1:
        raise LogitsError(f"members of an ensemble differ in shape: {[list(m.shape) for m in members]}")
    return torch.cat([ensemble_logits(torch.stack([part.double() for part in parts]))
                      for parts in zip(*(m.split(ROWS) for m in members), strict=True)])


def read(path) -> tuple[np.ndarray, np.ndarray | None]:
    """(logits or probabilities, labels or None) from a file: .npz (arrays `logits` and, if at hand, `labels`; of
    other names if only one has rows and columns), .npy, or .csv (numbers, with or without a line of names; a column
    `label` holds labels). No pickle is loaded. LogitsError if it has no such array."""
    arrays = _arrays(Path(path))
    if "logits" in arrays:
        return arrays["logits"], arrays.get("labels")
    tables = [name for name, array in arrays.items() if array.ndim in (2, 3)]
    if len(tables) != 1:
        raise LogitsError(f"{path} has {len(tables) or 'no'} arrays of rows and columns"
                          + f" ({', '.join(sorted(arrays))})" * bool(arrays) + ": call the one meant `logits`")
    return arrays[tables[0]], arrays.get("labels")


def read_labels(path) -> np.ndarray:
    """Labels from a file: .npy, .npz (an array `labels`, or a single one), or .csv (one number a line)."""
    arrays = _arrays(Path(path))
    labels = arrays.get("labels", arrays.get("label"))
    if labels is None:
        if len(arrays) != 1:
            raise LogitsError(f"{path} has {len(arrays) or 'no'} arrays and none is called labels")
        (labels,) = arrays.values()
    if Path(path).suffix.lower() == ".csv":
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        labels = labels.astype(np.int64) if (labels == np.floor(labels)).all() else labels
    return labels


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix.lower() == ".csv":
            return _csv(path)
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.stem: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except LogitsError:
        raise
    except OSError as error:
        raise LogitsError(f"{path} cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise LogitsError(f"{path} cannot be read as arrays of numbers, .npz, .npy or .csv "
                          f"({str(error).splitlines()[0] if str(error) else type(error).__name__})") from None


def _csv(path):
    with open(path, encoding="utf-8-sig") as file:
        line = file.readline()
        names = [name.strip().strip('"') for name in line.split(",")] if line.strip() else []
        try:
            [float(name) for name in names]
            names = []
            file.seek(0)
        except ValueError:
            if "" in names:
                raise LogitsError(f"a column of {path} has no name: write it without an index of rows") from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no line; the shape says so
            table = np.loadtxt(file, delimiter=",", ndmin=2)
    for name in {"label", "labels"} & set(names):
        column = names.index(name)
        labels, table = table[:, column], np.delete(table, column, 1)
        if (labels == np.floor(labels)).all():
            labels = labels.astype(np.int64)
        return {"labels": labels} | ({"logits": table} if table.shape[1] else {})
    return {path.stem: table}


def batches(data) -> Iterable[tuple[torch.Tensor, torch.Tensor | None]]:
    """(inputs, labels or None) by batch, of a loader, a Dataset, an iterable of batches, inputs, or a pair (inputs,
    labels)."""
    if isinstance(data, Dataset):
        data = DataLoader(data, 64)
    pair = data if isinstance(data, tuple) else (data,)
    if all(isinstance(part, torch.Tensor | np.ndarray) for part in pair):
        parts = [torch.as_tensor(part) for part in pair]
        if len(parts) not in (1, 2) or any(p.ndim == 0 or len(p) != len(parts[0]) for p in parts):
            raise LogitsError("data must be inputs, or a pair of inputs and as many labels "
                              f"(got {[list(p.shape) for p in parts]})")
        size = 1000 if parts[0].numel() <= 1000 * len(parts[0]) else 64  # as many as a processor's cache takes
        data = list(zip(*(p.split(size) for p in parts), strict=True)) if len(parts[0]) else []
    if not isinstance(data, Iterable):
        raise LogitsError(f"data must be a loader, a Dataset, or inputs with or without labels (got "
                          f"{type(data).__name__})")
    for batch in data:
        x, *rest = batch if isinstance(batch, tuple | list) else (batch,)
        if not isinstance(x, torch.Tensor) or len(rest) > 1:
            raise LogitsError("a batch must be a tensor of inputs, or a pair of inputs and labels (got "
                              f"{type(batch).__name__} of {[type(part).__name__ for part in (x, *rest)]})")
        yield x, tensor(rest[0], "labels of a batch") if rest else None


def shuffles(data) -> bool:
    """Whether a loader is known to give its inputs in another order than they have."""
    of_batches = getattr(getattr(data, "batch_sampler", None), "sampler", None)
    random = RandomSampler | SubsetRandomSampler | WeightedRandomSampler
    return isinstance(getattr(data, "sampler", None), random) or isinstance(of_batches, random)


class Features:
    """The outputs of named modules for a random sample of the inputs, the same for all nets; drawn on the way (Vitter,
    1985, algorithm R), since a loader need not know how many there are, and may give class after class."""

    def __init__(self, size: int, seed: int):
        self.size, self.draws = size, stream(seed, "CKA inputs")
        self.rows: list[int] = []  # of all inputs, those in the sample
        self.kept: dict[tuple[str, str], dict[int, torch.Tensor]] = {}  # by (net, label of a module), by place in rows
        self.seen, self.bytes, self.now, self.outputs = 0, 0, "", {}

    def watch(self, name: str, label: str, module: nn.Module):
        """Note what a module of a net gives, until the hook that this returns is removed."""
        def note(_, __, output):
            if self.now == name:  # not another net's pass, where they share the module
                self.outputs.setdefault(label, []).append(output)

        self.kept[name, label] = {}
        return module.register_forward_hook(note)

    def sample(self, n: int) -> list[tuple[int, int]]:
        """(place in the sample, row) of those of the next n inputs that are taken in."""
        taken = []
        for row, at in enumerate(range(self.seen, self.seen + n)):
            place = at if at < self.size else int(torch.randint(at + 1, (), generator=self.draws))
            if place < self.size:
                taken.append((place, row))
                self.rows[place : place + 1] = [at]
        self.seen += n
        return taken

    def keep(self, name: str, taken: list[tuple[int, int]], n: int) -> None:
        """Keep what the modules of a net gave for a batch of n."""
        for label in [label for net, label in self.kept if net == name]:
            outputs = self.outputs.pop(label, [])
            if len(outputs) != 1 or not isinstance(outputs[0], torch.Tensor) or outputs[0].shape[:1] != (n,):
                raise LogitsError(f"module {label} of {name} must give one tensor [{n}, ...] for {n} inputs (got "
                                  f"{[list(getattr(o, 'shape', [type(o).__name__])) for o in outputs]})")
            flat, kept = outputs[0].detach().flatten(1), self.kept[name, label]
            for place, row in taken:
                self.bytes += 4 * flat.shape[1] * (place not in kept)
                if self.bytes > FEATURE_BYTES:
                    raise LogitsError(f"features of {self.size} inputs, {flat.shape[1]:,} numbers each at {label}, are "
                                      "too many to keep: lower cka_inputs, or name a module behind a pooling")
                kept[place] = flat[row].float().cpu().clone()

    def of(self, name: str, label: str) -> torch.Tensor:
        """Features of one module, [inputs in the sample, width]."""
        kept = self.kept[name, label]
        return torch.stack([kept[place] for place in range(len(kept))])


def module_of(net: nn.Module, path: str, name: str) -> nn.Module:
    """The part of a net at that path; LogitsError names those that there are."""
    try:
        return net.get_submodule(path)
    except AttributeError:
        names = [n for n, _ in net.named_modules() if n]
        shown = ", ".join(names[:12]) + ", ..." * (len(names) > 12)
        raise LogitsError(f"{name} has no module {path!r}; there are {shown or 'none'}") from None


def placed(net):
    """(device, floating type) of a net, None for a net without such."""
    first = next(chain(net.parameters(), net.buffers()), None)
    kind = next((p.dtype for p in chain(net.parameters(), net.buffers()) if p.is_floating_point()), None)
    return first.device if first is not None else None, kind


def of_nets(nets: dict[str, list[nn.Module]], data, features: Features, modules: dict[str, dict[str, str]]):
    """({name: [outputs of each member]}, labels or None) of nets {name: members} on data, all in one pass over it: a
    loader that shuffles gives each net the same inputs. `modules` {name: {label: module}} are watched by `features`.

    Inputs go to each net's device and, if they are floating-point numbers, to its precision."""
    outputs, labels = {name: [[] for _ in members] for name, members in nets.items()}, []
    with ExitStack() as stack:
        stack.enter_context(evaluated([net for members in nets.values() for net in members]))
        for name, paths in modules.items():
            for label, path in paths.items():
                stack.callback(features.watch(name, label, module_of(nets[name][0], path, name)).remove)
        for x, y in batches(data):
            labels.append(y)
            taken = features.sample(len(x)) if modules else []
            for name, members in nets.items():
                features.now = name
                for net, out in zip(members, outputs[name], strict=True):
                    out.append(answer(net, x, name).cpu())
                features.keep(name, taken, len(x))
    if not labels:
        raise LogitsError("data has no inputs")
    return ({name: [torch.cat(out) for out in members] for name, members in outputs.items()},
            None if any(y is None for y in labels) else torch.cat(labels))


def answer(net: nn.Module, x: torch.Tensor, name: str) -> torch.Tensor:
    """Logits [n, classes] of inputs [n, ...], where the net is and in its precision."""
    where, kind = placed(net)
    try:
        out = net(x.to(where, kind if x.is_floating_point() else None))
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise LogitsError(f"{name} fails on a batch {list(x.shape)} of {x.dtype}: {reason[0]}") from error
    out = getattr(out, "logits", out)  # of the outputs that transformers give
    if not isinstance(out, torch.Tensor) or out.ndim != 2 or len(out) != len(x):
        got = list(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise LogitsError(f"{name} must give logits [{len(x)}, classes] for {len(x)} inputs (got {got})")
    return out.detach()
