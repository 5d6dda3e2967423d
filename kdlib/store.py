"""Records and checkpoints on disk, addressed by the content of their spec; written whole or not at all."""

import functools
import hashlib
import importlib.metadata
import json
import logging
import math
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from kdlib.paths import atomic, being_written, project_root, results_dir, store_dir
from kdlib.run import execute, place
from kdlib.spec import Spec

_spec = TypeAdapter(Spec)


class StoreError(Exception):
    """A record or checkpoint that is missing, damaged, edited or not what it says it is."""


@dataclass(frozen=True)
class Record:
    """One finished run: its spec, plain numbers, and where they came from."""

    key: str
    spec: dict
    metrics: dict
    curves: dict
    seconds: float
    device: str
    versions: dict
    commit: str

    def line(self) -> str:
        """One line of JSON, closed by a checksum over all of it."""
        body = dict(vars(self))
        return json.dumps(body | {"checksum": checksum(body)})

    def same_result(self, other: "Record") -> bool:
        return (self.key, self.metrics, self.curves) == (other.key, other.metrics, other.curves)

    def difference(self, other: "Record") -> tuple[float, float]:
        """How far another result of this run lies from it: the largest difference of a metric (as a share of it where
        it exceeds 1) and of a curve (as a share of its largest value). Infinite where names, lengths or NaN differ."""
        scalars = {name: [value] for name, value in self.metrics.items()}
        return (_largest(scalars, {name: [value] for name, value in other.metrics.items()}, 1.0),
                _largest(dict(_rows(self.curves)), dict(_rows(other.curves)), 1e-9))


def _rows(curves):
    """Curves as (name, list of numbers); a plane has several."""
    for name, curve in curves.items():
        if isinstance(curve, dict):
            yield from ((f"{name} {part}", values) for part, values in _rows(curve))
        else:
            yield name, np.ravel(curve)


def _largest(ours, theirs, least):
    if {n: len(v) for n, v in ours.items()} != {n: len(v) for n, v in theirs.items()}:
        return math.inf
    # np.max, since Python's max drops a NaN
    worst = np.max([np.abs(np.subtract(theirs[n], v)).max() / max(least, np.abs(v).max()) for n, v in ours.items()],
                   initial=0)  # a run that trains nothing has no curves
    return math.inf if math.isnan(worst) else float(worst)


def checksum(body: dict) -> str:
    """16 hex digits over a record without its checksum."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """A checksum over names, types, shapes and values of CPU tensors."""
    total = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        total.update(value.numpy().tobytes())
    return total.hexdigest()


def pack(tensors: dict[str, torch.Tensor], key: str, **more: str) -> bytes:
    """A safetensors file with a note of whose tensors they are and of their checksum."""
    return save(tensors, {"key": key, "digest": digest(tensors)} | more)


def unpack(path: Path, key: str) -> dict[str, torch.Tensor]:
    """What `pack` wrote for `key`; StoreError names a file that is damaged, edited or another run's."""
    try:
        with safe_open(path, "pt") as file:
            note, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise StoreError(f"the checkpoint {path} is damaged ({error})") from None
    if note.get("digest") != digest(tensors):
        raise StoreError(f"the checkpoint {path} was changed after it was written, or is not one of kdlib's")
    if note.get("key") != key:
        raise StoreError(f"the checkpoint {path} belongs to another run")
    return tensors


CHECKPOINT_SECONDS = 120  # a kill loses two minutes at the most


class KeptState:
    """The kept state of a long run, or of a cohort; found again if the same runs are executed together."""

    def __init__(self, store: "Store", specs):
        self.store, self.runs = store, " ".join(spec.key for spec in specs)
        self.key = hashlib.sha256(self.runs.encode()).hexdigest()[:24]
        self.path = store.root / "kept" / f"{self.key}.safetensors"
        self.every = float(os.environ.get("KDLIB_CHECKPOINT_SECONDS") or CHECKPOINT_SECONDS)
        self.saved = time.monotonic()  # a clock that nobody can set back
        self.failed = False

    def load(self) -> dict[str, torch.Tensor] | None:
        try:
            return unpack(self.path, self.key)
        except FileNotFoundError:
            return None
        except StoreError as error:
            self.store._set_aside({self.path: str(error)})

    def due(self) -> bool:
        return time.monotonic() - self.saved >= self.every

    def save(self, tensors) -> None:
        """Keep the state. It is only an insurance: where it cannot be written, the run goes on, after one warning."""
        try:
            with atomic(self.path) as file:
                file.write(pack(tensors, self.key, runs=self.runs))
        except OSError as error:
            if not self.failed:
                logging.getLogger("kdlib").warning(
                    "kdlib: the state of a long run cannot be kept (%s: %s); it goes on, but if it is killed it starts "
                    "from what was kept before", self.path, error.strerror)
            self.failed = True
        self.saved = time.monotonic()


def parse(line: str | bytes, where) -> Record:
    """A record from its line; says what is wrong with one that is damaged, edited or foreign."""
    try:
        body = json.loads(line)
        given = body.pop("checksum")
        record = Record(**body)
        spec = _spec.validate_json(json.dumps(record.spec))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        raise StoreError(f"{where} is not a whole kdlib record (truncated or foreign)") from None
    if checksum(body) != given:
        raise StoreError(f"{where} was changed after it was written (checksum differs)")
    if spec.key != record.key:
        raise StoreError(f"{where} was made by another version of kdlib: its key is not that of its spec")
    return record


class Store:
    """`runs/<key>.json` and `weights/<key>.safetensors` under one folder, one lock per run."""

    def __init__(self, root: Path | None = None):
        self.root = Path(root or store_dir())
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"the run store {self.root} is not a folder; set KDLIB_STORE to one")

    def prepare(self) -> None:
        """Make the folders, and find out before anything is trained whether they can be written. Reading needs none."""
        try:
            for part in ("runs", "weights", "kept", "locks"):
                (self.root / part).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root / part):
                    pass
        except OSError as error:
            raise StoreError(f"the run store {self.root} cannot be written ({error.strerror}); "
                             "set KDLIB_STORE to a folder that can") from None

    def tidy(self) -> None:
        """Remove what processes that were killed while writing left behind.

        Only what no living process is writing, as its lock says. The hour is for the moment before the lock is taken
        and for stores that several machines share; it counts both ways, since clocks are set back."""
        for path in self.root.glob("*/.*"):
            with suppress(OSError):  # another process may be tidying too
                if abs(time.time() - path.stat().st_mtime) > 3600 and not being_written(path):
                    path.unlink()

    def record_path(self, key):
        return self.root / "runs" / f"{key}.json"

    def weights_path(self, key):
        return self.root / "weights" / f"{key}.safetensors"

    def get(self, spec) -> Record | None:
        """The record of a spec, None where it was never run; a damaged one is set aside and named."""
        return self.find([spec]).get(spec)

    def find(self, specs) -> dict:
        """The records there are, by spec. All damaged ones are set aside, and one error names them."""
        specs = list(specs)
        records = self._read({self.record_path(spec.key): spec.key for spec in specs})
        return {spec: records[spec.key] for spec in specs if spec.key in records}

    def kept_together(self) -> list[list[str]]:
        """The keys of runs whose state is kept, by cohort: to go on they must be executed together again. A state of
        which a run is recorded by now is of no more use and is removed."""
        groups = []
        for path in sorted((self.root / "kept").glob("*.safetensors")):
            try:
                with safe_open(path, "pt") as file:
                    keys = (file.metadata() or {}).get("runs", "").split()
            except (SafetensorError, OSError):
                continue  # whoever needs it names it
            if any(self.record_path(key).exists() for key in keys):
                path.unlink(missing_ok=True)
            elif keys:
                groups.append(keys)
        return groups

    def all(self) -> list[Record]:
        """Every record in the store, damaged ones as in `find`."""
        return list(self._read({path: path.stem for path in sorted((self.root / "runs").glob("*.json"))}).values())

    def _read(self, keys: dict[Path, str]) -> dict[str, Record]:
        found, damaged = {}, {}
        for path, key in keys.items():
            try:
                record = parse(path.read_bytes(), path)
                if record.key != key:
                    raise StoreError(f"{path} holds the record of another run")
                found[key] = record
            except FileNotFoundError:
                continue
            except OSError as error:
                damaged[path] = f"{path} cannot be read ({error.strerror})"
            except StoreError as error:
                damaged[path] = str(error)
        if damaged:
            self._set_aside(damaged)
        return found

    def weights(self, spec) -> dict[str, torch.Tensor]:
        """The final weights of a finished run; a damaged, edited or foreign checkpoint is set aside and named."""
        path = self.weights_path(spec.key)
        try:
            return unpack(path, spec.key)
        except FileNotFoundError:
            raise StoreError(f"the checkpoint {path} is missing; delete {self.record_path(spec.key)} "
                             "and run again to retrain it") from None
        except StoreError as error:
            self._set_aside({path: str(error)}, self.record_path(spec.key))

    def check_weights(self, specs) -> None:
        """Read the weights of finished runs; all damaged ones are set aside, and one error names them."""
        damaged, records = {}, []
        for spec in specs:
            path = self.weights_path(spec.key)
            try:
                unpack(path, spec.key)
            except FileNotFoundError:
                continue  # `weights` says so
            except StoreError as error:
                damaged[path] = str(error)
                records.append(self.record_path(spec.key))
        if damaged:
            self._set_aside(damaged, *records)

    def _set_aside(self, damaged: dict[Path, str], *others):
        """Move damaged files (with what is wrong with each), and others that are nothing without them, out of the way;
        always a StoreError."""
        aside = self.root / "set-aside"
        first = "; ".join(list(damaged.values())[:3])
        if len(damaged) > 1:
            first = f"{len(damaged)} files of the run store are damaged: {first}{'; ...' * (len(damaged) > 3)}"
        it = "it" if len(damaged) == 1 else "they"
        try:
            aside.mkdir(exist_ok=True)
            for item in (*damaged, *others):
                if item.exists():
                    os.replace(item, aside / item.name)
        except OSError as error:
            raise StoreError(f"{first}; {it} cannot be moved to {aside} ({error.strerror})") from None
        raise StoreError(f"{first}; {it} {'was' if it == 'it' else 'were'} moved to {aside}: run again to retrain")

    def run(self, specs) -> list[tuple[Record, bool]]:
        """The records of specs of one cohort, each with whether it was trained now.

        Two processes never train the same run: the second waits for the first and reads what it wrote.
        """
        found, trained = self.find(specs), {}
        missing = sorted(set(specs) - set(found), key=lambda s: s.key)
        if missing:
            self.prepare()
        with ExitStack() as locks:
            for spec in missing:  # in the same order everywhere, so that no two processes wait for each other
                locks.enter_context(FileLock(self.root / "locks" / f"{spec.key}.lock"))
            found |= self.find(missing)
            todo = [spec for spec in missing if spec not in found]
            kept = KeptState(self, todo)
            for spec, (record, weights) in zip(todo, fresh(todo, self.weights, kept) if todo else (), strict=True):
                if weights is not None:
                    with atomic(self.weights_path(spec.key)) as file:
                        file.write(pack(weights, spec.key))
                # the record last: where it exists, the weights do
                with atomic(self.record_path(spec.key)) as file:
                    file.write(record.line().encode())
                trained[spec] = record
                # of use to all of them together only, and a full disk can do with the space
                kept.path.unlink(missing_ok=True)
        return [(trained.get(spec) or found[spec], spec in trained) for spec in specs]


def fresh(specs, weights_of, kept=None) -> list[tuple[Record, dict | None]]:
    """Run specs of one cohort now, whatever the store has. `seconds` of a record is its share of the cohort's (since
    it went on, where it was interrupted)."""
    start = time.perf_counter()
    results = execute(specs, weights_of, kept)
    seconds = round((time.perf_counter() - start) / len(specs), 3)
    return [(Record(
        key=spec.key, spec=spec.model_dump(mode="json"), metrics=metrics, curves=_rounded(curves),
        seconds=seconds, device=place(spec),
        versions={p: importlib.metadata.version(p) for p in ("kdlib", "torch", "numpy", "mnist1d")},
        commit=commit()), weights) for spec, (metrics, curves, weights) in zip(specs, results, strict=True)]


def _rounded(value):
    """Six significant digits are more than a curve in a picture shows, and keep records small."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return float(f"{value:.6g}")


@functools.cache
def commit() -> str:
    """The commit that the code is at, marked where `kdlib/` differs from it."""
    def git(*command):
        return subprocess.run(["git", *command], cwd=project_root(), capture_output=True, text=True, check=False)

    try:
        at = git("rev-parse", "--short=12", "HEAD").stdout.strip()
        return (at + "+changes" * bool(git("status", "--porcelain", "--", "kdlib").stdout)) if at else "unknown"
    except FileNotFoundError:  # no git on this machine
        return "unknown"


class Recorded:
    """The committed records of a profile, `results/<profile>/<chapter>.jsonl`, behind the store's `get`."""

    def __init__(self, profile: str):
        self.folder, self.records = results_dir() / profile, {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for number, line in enumerate(path.read_bytes().splitlines(), 1):
                record = parse(line, f"{path}, line {number},")
                self.records[record.key] = record

    def get(self, spec) -> Record | None:
        return self.records.get(spec.key)
