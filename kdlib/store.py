"""Records and checkpoints on disk, addressed by the content of their spec; written whole or not at all."""

import functools
import hashlib
import importlib.metadata
import json
import os
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from kdlib.paths import atomic, project_root, results_dir, store_dir
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


def pack(tensors: dict[str, torch.Tensor], key: str) -> bytes:
    """A safetensors file with a note of whose tensors they are and of their checksum."""
    return save(tensors, {"key": key, "digest": digest(tensors)})


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
        self.store = store
        self.key = hashlib.sha256(" ".join(spec.key for spec in specs).encode()).hexdigest()[:24]
        self.path = store.root / "kept" / f"{self.key}.safetensors"
        self.every = float(os.environ.get("KDLIB_CHECKPOINT_SECONDS") or CHECKPOINT_SECONDS)
        self.saved = time.monotonic()  # a clock that nobody can set back

    def load(self) -> dict[str, torch.Tensor] | None:
        try:
            return unpack(self.path, self.key)
        except FileNotFoundError:
            return None
        except StoreError as error:
            self.store._set_aside(self.path, str(error))

    def due(self) -> bool:
        return time.monotonic() - self.saved >= self.every

    def save(self, tensors) -> None:
        with atomic(self.path) as file:
            file.write(pack(tensors, self.key))
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
        try:
            for part in ("runs", "weights", "kept", "locks", "set-aside"):
                (self.root / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the run store {self.root} cannot be written ({error.strerror}); "
                             "set KDLIB_STORE to a folder that can") from None

    def tidy(self) -> None:
        """Remove what processes that were killed while writing left behind, once nobody can still be writing it."""
        for path in self.root.glob("*/.*"):
            if time.time() - path.stat().st_mtime > 24 * 3600:
                path.unlink(missing_ok=True)

    def record_path(self, key):
        return self.root / "runs" / f"{key}.json"

    def weights_path(self, key):
        return self.root / "weights" / f"{key}.safetensors"

    def get(self, spec) -> Record | None:
        """The record of a spec, None where it was never run; a damaged one is set aside and named."""
        path = self.record_path(spec.key)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._set_aside(path, f"{path} cannot be read ({error})")
        try:
            record = parse(text, path)
        except StoreError as error:
            self._set_aside(path, str(error))
        if record.key != spec.key:
            self._set_aside(path, f"{path} holds the record of another run")
        return record

    def weights(self, spec) -> dict[str, torch.Tensor]:
        """The final weights of a finished run; a damaged, edited or foreign checkpoint is set aside and named."""
        path = self.weights_path(spec.key)
        try:
            return unpack(path, spec.key)
        except FileNotFoundError:
            raise StoreError(f"the checkpoint {path} is missing; delete {self.record_path(spec.key)} "
                             "and run again to retrain it") from None
        except StoreError as error:
            self._set_aside(path, str(error), self.record_path(spec.key))

    def _set_aside(self, path, message, *others):
        for item in (path, *others):
            if item.exists():
                os.replace(item, self.root / "set-aside" / item.name)
        raise StoreError(f"{message}; it was moved to {self.root / 'set-aside'}: run again to retrain it")

    def run(self, specs) -> list[tuple[Record, bool]]:
        """The records of specs of one cohort, each with whether it was trained now.

        Two processes never train the same run: the second waits for the first and reads what it wrote.
        """
        found = {spec: self.get(spec) for spec in specs}
        missing = sorted((s for s in found if found[s] is None), key=lambda s: s.key)
        trained = {}
        with ExitStack() as locks:
            for spec in missing:  # in the same order everywhere, so that no two processes wait for each other
                locks.enter_context(FileLock(self.root / "locks" / f"{spec.key}.lock"))
            found |= {spec: self.get(spec) for spec in missing}
            todo = [spec for spec in missing if found[spec] is None]
            kept = KeptState(self, todo)
            for spec, (record, weights) in zip(todo, fresh(todo, self.weights, kept) if todo else (), strict=True):
                if weights is not None:
                    with atomic(self.weights_path(spec.key)) as file:
                        file.write(pack(weights, spec.key))
                # the record last: where it exists, the weights do
                with atomic(self.record_path(spec.key)) as file:
                    file.write(record.line().encode())
                trained[spec] = record
            kept.path.unlink(missing_ok=True)
        return [(trained.get(spec) or found[spec], spec in trained) for spec in specs]

    def all(self) -> list[Record]:
        """Every record in the store; a damaged one is set aside and named."""
        found = []
        for path in sorted((self.root / "runs").glob("*.json")):
            try:
                found.append(parse(path.read_bytes(), path))
            except StoreError as error:
                self._set_aside(path, str(error))
        return found


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
