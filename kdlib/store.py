"""Records and checkpoints on disk, addressed by the content of their spec; written whole or not at all."""

import functools
import hashlib
import importlib.metadata
import io
import itertools
import json
import logging
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load, save

from kdlib import __version__
from kdlib.catalog import DRAWN_BY, data_set
from kdlib.data.stored import fingerprint_here, read_by
from kdlib.devices import processor
from kdlib.paths import atomic, results_dir, store_dir
from kdlib.processes import locked
from kdlib.results import Damaged, Record, Recorded, StoreError, parse
from kdlib.runs import execute, kind_of, place
from kdlib.settings import settings
from kdlib.spec import Run

# The only names that the store makes and, where nobody needs the file any more, removes: other programs too keep their
# files in folders called runs and weights.
RECORD = re.compile(r"([0-9a-f]{24})\.json")
STATE = re.compile(r"([0-9a-f]{24})\.safetensors")
LEFT = re.compile(r"\.([0-9a-f]{24})\.(?:json|safetensors)\.[0-9a-z_]{8}")  # what a killed `atomic` left behind


def digest(tensors: dict[str, torch.Tensor], data: str = "") -> str:
    """A checksum over names, types, shapes and values of CPU tensors, and over the note of the data behind them."""
    total = hashlib.sha256(data.encode())
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        total.update(value.numpy().tobytes())
    return total.hexdigest()


def pack(tensors: dict[str, torch.Tensor], key: str, data: str = "", **more: str) -> bytes:
    """A safetensors file with a note of whose tensors they are, of the data behind them and of their checksum; equal
    tensors, equal bytes."""
    raw = save(tensors, {"key": key, "digest": digest(tensors, data), "data": data} | more)
    size = int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8 : 8 + size]), sort_keys=True).encode()  # save puts the note in any order
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + raw[8 + size :]


def _note(file) -> dict:
    """What `pack` noted in a file; {} where it noted nothing."""
    size = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(min(size, 100_000_000)))  # safetensors' own limit
    return header.get("__metadata__", {}) if isinstance(header, dict) else {}


def read(path: Path) -> bytes:
    """A file of the store; StoreError where it cannot be read now, which does not say that it is damaged."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}) and was left as it is") from None


def data_here(specs) -> dict[str, str]:
    """The content of the data that runs read, by name, as it is here."""
    names = sorted({name for spec in specs for name in read_by(spec)})
    return {name: content for name in names if (content := fingerprint_here(name))}


def other_data(spec, made_on: dict[str, str], here: dict[str, str]) -> str:
    """Where a run was made on other data than is here under the same name: both, named; else "".

    `made_on`, `here`: contents by name; one that is not said of a run is the official one, and data that are not here
    are not compared."""
    for name in read_by(spec):
        made = made_on.get(name) or data_set(name).fingerprint
        if made and made != here.get(name, made):
            return f"{name} {made}, and here is {name} {here[name]}"
    return ""


def check_data(records: dict) -> None:
    """StoreError where one of these records, by spec, was made on other data than is here."""
    here = data_here(records)
    for spec, record in records.items():
        if other := other_data(spec, record.made_on, here):
            raise StoreError(f"{spec.kind} {spec.key} was made on {other}: {OTHER_DATA}")


OTHER_DATA = "import or install that one again, or set KDLIB_STORE to another folder"


def unpack(path: Path, key: str, specs=(), other: str = "move it away, and its run's record runs/*.json too"
           ) -> dict[str, torch.Tensor]:
    """What `pack` wrote for `key`, in the runs `specs`; Damaged names a file that is damaged or edited, StoreError
    another run's (and what to do about it, `other`), one made on other data than is here, and one that cannot be
    read."""
    raw = read(path)  # not mapped into memory: there a failing disk kills the process
    try:
        note, tensors = _note(io.BytesIO(raw)), load(raw)
    except (SafetensorError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise Damaged(f"the checkpoint {path} is damaged ({error})") from None
    if note.get("digest") != digest(tensors, note.get("data", "")):
        raise Damaged(f"the checkpoint {path} was changed after it was written, or is not one of kdlib's")
    if note.get("key") != key:
        raise StoreError(f"the checkpoint {path} belongs to another run: {other}")
    for spec in specs:
        if made_on := other_data(spec, json.loads(note.get("data") or "{}"), data_here([spec])):
            raise StoreError(f"the checkpoint {path} was made on {made_on}: {OTHER_DATA}")
    return tensors


def _key_of(runs: str) -> str:
    return hashlib.sha256(runs.encode()).hexdigest()[:24]


class KeptState:
    """The kept state of a long run, or of a cohort; found again if the same runs are executed together."""

    def __init__(self, store: "Store", specs):
        self.store, self.runs = store, " ".join(spec.key for spec in specs)
        self.key, self.specs, self.data = _key_of(self.runs), specs, json.dumps(data_here(specs))
        self.path = store.root / "kept" / f"{self.key}.safetensors"
        self.every = settings().checkpoint_seconds
        self.saved = time.monotonic()  # a clock that nobody can set back
        self.failed = False

    def load(self) -> dict[str, torch.Tensor] | None:
        """CPU tensors by name, None where nothing is kept; StoreError on a damaged state, which is set aside."""
        try:
            return unpack(self.path, self.key, self.specs)
        except FileNotFoundError:
            return None
        except StoreError as error:
            self.store._refuse({self.path: error})

    def due(self) -> bool:
        """Whether it is time to keep the state again."""
        return time.monotonic() - self.saved >= self.every

    def save(self, tensors) -> None:
        """Keep the state. It is only an insurance: where it cannot be written, the run goes on, after one warning."""
        try:
            with atomic(self.path) as file:
                file.write(pack(tensors, self.key, runs=self.runs, data=self.data))
        except OSError as error:
            if not self.failed:
                logging.getLogger("kdlib").warning(
                    "kdlib: the state of a long run cannot be kept (%s: %s); it goes on, but if it is killed it starts "
                    "from what was kept before", self.path, error.strerror)
            self.failed = True
        self.saved = time.monotonic()


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

        Only files that `atomic` named, and only what no living process is writing: it would hold the run's lock. The
        hour is for machines that share a store and not its locks; it counts both ways, since clocks are set back."""
        for part in ("runs", "weights", "kept"):
            for key, path in self._files(part, LEFT):
                if (self.root / part).is_symlink() or path.is_symlink():
                    continue
                # a Timeout of a lock is an OSError; another process may be tidying too
                with suppress(OSError), FileLock(self._lock(key), timeout=0):
                    if abs(time.time() - path.stat().st_mtime) > 3600:
                        path.unlink()

    def _files(self, part: str, form: re.Pattern) -> list[tuple[str, Path]]:
        """The store's own files in one of its folders, each with its key."""
        try:
            names = sorted(os.listdir(self.root / part))
        except FileNotFoundError:
            return []
        return [(match[1], self.root / part / name) for name in names if (match := form.fullmatch(name))]

    def _lock(self, key) -> Path:
        return self.root / "locks" / f"{key}.lock"

    def record_path(self, key):
        """Where the record of a run is."""
        return self.root / "runs" / f"{key}.json"

    def weights_path(self, key):
        """Where the weights of a run are."""
        return self.root / "weights" / f"{key}.safetensors"

    def get(self, spec) -> Record | None:
        """The record of a spec, None where it was never run; errors as in `find`."""
        return self.find([spec]).get(spec)

    def find(self, specs) -> dict:
        """The records there are, by spec. One error names all that are damaged, which are set aside, cannot be read or
        were made by another version, which are left where they are: a run never takes their place. Nor does it go
        together with one that was made on other data than is here."""
        records, wrong = self.look(specs)
        if wrong:
            self._refuse(wrong)
        check_data(records)
        return records

    def look(self, specs) -> tuple[dict, dict[Path, StoreError]]:
        """(the records there are, by spec; what is wrong with those that cannot be used). Nothing is moved."""
        specs = list(specs)
        records, wrong = self._read((spec.key, self.record_path(spec.key)) for spec in specs)
        return {spec: records[spec.key] for spec in specs if spec.key in records}, wrong

    def all(self) -> tuple[list[Record], dict[Path, StoreError]]:
        """Every record in the store, and what is wrong with those that cannot be used. Nothing is moved."""
        records, wrong = self._read(self._files("runs", RECORD))
        return list(records.values()), wrong

    def kept_cohorts(self) -> list[list[str]]:
        """The keys of runs whose state is kept, by cohort: to go on they must be executed together again. A state of
        which a run is recorded by now is of no more use and is removed."""
        groups = []
        for key, path in self._files("kept", STATE):
            try:
                with open(path, "rb") as file:
                    runs = _note(file).get("runs", "")
            except (OSError, ValueError, AttributeError, RecursionError):
                continue  # whoever needs it names it
            if _key_of(runs) != key:
                continue
            keys = runs.split()
            if any(self.record_path(key).exists() for key in keys):
                path.unlink(missing_ok=True)
            else:
                groups.append(keys)
        return groups

    def _read(self, files) -> tuple[dict[str, Record], dict[Path, StoreError]]:
        found, wrong = {}, {}
        for key, path in files:
            try:
                record = parse(read(path), path)
                if record.key != key:
                    raise StoreError(f"{path} holds the record of another run: move it away")
                found[key] = record
            except FileNotFoundError:
                continue
            except StoreError as error:
                wrong[path] = error
        return found, wrong

    def weights(self, spec) -> dict[str, torch.Tensor]:
        """The final weights of a finished run; a damaged or edited checkpoint is set aside and named, another run's
        named."""
        path = self.weights_path(spec.key)
        try:
            return unpack(path, spec.key, [spec])
        except FileNotFoundError:
            raise StoreError(f"the checkpoint {path} is missing; delete {self.record_path(spec.key)} "
                             "and run again to retrain it") from None
        except StoreError as error:
            self._refuse({path: error})

    def adopt(self, specs) -> int:
        """Take over those of these runs whose weights are committed beside their records (`commit_weights`),
        each checked against its record; how many there were. What is damaged is named, and nothing of it is taken."""
        count = 0
        for source, spec in with_committed_weights(specs):
            record, tensors, key = source.records[spec.key], committed_weights(source, spec), spec.key
            self.prepare()
            with locked(self._lock(key), f"{record.spec['kind']} {key}"):
                with atomic(self.weights_path(key)) as file:
                    file.write(pack(tensors, key, data=json.dumps(record.made_on)))
                with atomic(self.record_path(key)) as file:
                    file.write(record.line().encode())
            count += 1
        return count

    def check_weights(self, specs) -> None:
        """Read the weights of finished runs; all damaged ones are set aside, and one error names them."""
        wrong = {}
        for spec in specs:
            path = self.weights_path(spec.key)
            try:
                unpack(path, spec.key, [spec])
            except FileNotFoundError:
                continue  # `weights` says so
            except StoreError as error:
                wrong[path] = error
        if wrong:
            self._refuse(wrong)

    def _refuse(self, wrong: dict[Path, StoreError]) -> NoReturn:
        """Always a StoreError, which says what is wrong with the files. Those that are damaged are moved out of the
        way, a checkpoint with its record, which is nothing without it."""
        aside, first = self.root / "set-aside", summary(wrong.values())
        damaged = [path for path, error in wrong.items() if isinstance(error, Damaged)]
        if not damaged:
            raise StoreError(first)
        records = [self.record_path(path.stem) for path in damaged if path.parent.name == "weights"]
        what = "it" if len(wrong) == 1 else "they" if len(wrong) == len(damaged) else f"the {len(damaged)} damaged"
        try:
            aside.mkdir(exist_ok=True)
            for path in (*damaged, *records):
                if path.exists():
                    os.replace(path, _free(aside / path.name))
        except OSError as error:
            raise StoreError(f"{first}; {what} cannot be moved to {aside} ({error.strerror})") from None
        raise StoreError(f"{first}; {what} {'was' if what == 'it' else 'were'} moved to {aside}: run again to retrain")

    def run(self, specs) -> list[tuple[Record, bool]]:
        """The records of specs of one cohort, each with whether it was trained now.

        Two processes never train the same run: the second waits for the first and reads what it wrote.
        """
        found, trained = self.find(specs), {}
        missing = sorted(set(specs) - set(found), key=lambda s: s.key)
        if missing:
            self.prepare()
        with _kept_so_far(), ExitStack() as locks:
            for spec in missing:  # in the same order everywhere, so that no two processes wait for each other
                locks.enter_context(locked(self._lock(spec.key), f"{spec.kind} {spec.key}"))
            found |= self.find(missing)
            todo = [spec for spec in missing if spec not in found]
            kept = KeptState(self, todo)
            if todo:
                locks.enter_context(FileLock(self._lock(kept.key)))  # for `tidy`
            for spec, (record, weights) in zip(todo, run_now(todo, self.weights, kept) if todo else (), strict=True):
                if weights is not None:
                    with atomic(self.weights_path(spec.key)) as file:
                        file.write(pack(weights, spec.key, data=json.dumps(record.made_on)))
                # the record last: where it exists, the weights do
                with atomic(self.record_path(spec.key)) as file:
                    file.write(record.line().encode())
                trained[spec] = record
                # of use to all of them together only, and a full disk can do with the space
                kept.path.unlink(missing_ok=True)
        return [(trained.get(spec) or found[spec], spec in trained) for spec in specs]


@contextmanager
def _kept_so_far():
    try:
        yield
    except OSError as error:  # a full disk, say
        error.add_note("finished runs are kept, and the same command goes on from there")
        raise


def with_committed_weights(specs) -> Iterator[tuple[Recorded, Run]]:
    """Those of these runs whose weights are committed, each with the records that they lie beside. Where records have
    a folder of weights, those of every teacher belong into it: one that is missing is asked for too, and named then,
    since another in its place would be another net under the same key."""
    wanted = {spec.key: spec for spec in specs if kind_of(spec).starts_others}
    for folder in sorted(path.parent for path in results_dir().glob("*/weights")) if wanted else ():
        source = Recorded(folder.name)
        for key in sorted(wanted.keys() & source.records.keys()):
            yield source, wanted[key]


def committed_weights(source: Recorded, spec) -> dict[str, torch.Tensor]:
    """The committed weights of a recorded run; StoreError if they are missing, or not those that its record speaks
    of."""
    path = source.weights_path(spec.key)
    try:
        tensors = unpack(path, spec.key, [spec], other="restore it")
    except FileNotFoundError:
        raise StoreError(f"the checkpoint {path} is missing beside its record: restore it") from None
    except Damaged as error:
        raise StoreError(f"{error}: restore it") from None
    if not source.records[spec.key].made(digest(tensors)):
        raise StoreError(f"the checkpoint {path} is not the one that its record speaks of: restore it")
    return tensors


def commit_weights(source: Recorded, specs, store: Store) -> None:
    """Put the final weights of recorded runs beside their records, where they are not yet; StoreError where the store
    has others than the record speaks of, as of the same run on another machine."""
    for spec in specs:
        path, record = source.weights_path(spec.key), source.records[spec.key]
        if not path.exists() and store.weights_path(spec.key).exists():
            tensors = store.weights(spec)
            if not record.made(digest(tensors)):
                raise StoreError(f"the checkpoint {store.weights_path(spec.key)} is not the one that the record in "
                                 f"{source.folder} speaks of: restore {path}, or set KDLIB_STORE to the store in which "
                                 "it was trained")
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as file:
                file.write(pack(tensors, spec.key, data=json.dumps(record.made_on)))


def summary(wrong) -> str:
    """What is wrong with files of the store, in one sentence: of many the first three."""
    wrong = list(map(str, wrong))
    many = f"{len(wrong)} files of the run store cannot be used: " if len(wrong) > 1 else ""
    return many + "; ".join(wrong[:3]) + "; ..." * (len(wrong) > 3)


def _free(path: Path) -> Path:
    """This path, or one with a number that is not taken: what was set aside before stays."""
    taken = (path.with_name(f"{path.name}.{n}") if n else path for n in itertools.count())
    return next(path for path in taken if not path.exists())


def run_now(specs, weights_of, kept=None) -> list[tuple[Record, dict | None]]:
    """Run specs of one cohort now, whatever the store has. `seconds` of a record is its share of the cohort's (since
    it went on, where it was interrupted)."""
    start, here = time.perf_counter(), data_here(specs)
    results = execute(specs, weights_of, kept)
    seconds = round((time.perf_counter() - start) / len(specs), 3)
    return [(Record(
        key=spec.key, spec=spec.model_dump(mode="json"), metrics=metrics, curves=_rounded(curves),
        seconds=seconds, device=place(spec),
        versions={"kdlib": __version__} | {p: importlib.metadata.version(p) for p in ("torch", "numpy", DRAWN_BY)},
        commit=commit(), processor=processor(),
        content={name: here[name] for name in read_by(spec)
                 if name in here and data_set(name).drawn is None} or None,
        weights=digest(weights)[:16] if weights else None), weights)
        for spec, (metrics, curves, weights) in zip(specs, results, strict=True)]


def _rounded(value):
    """Six significant digits are more than a curve in a picture shows, and keep records small."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return float(f"{value:.6g}")


@functools.cache
def commit() -> str:
    """The commit that the code is at, marked where `kdlib/` differs from it; "unknown" unless it lies at the top of its
    own repository, since that of another folder, or of GIT_DIR, would be a lie."""
    top = Path(__file__).resolve().parent.parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*command):
        return subprocess.run(["git", *command], cwd=top, env=environment, capture_output=True, text=True, check=False
                              ).stdout.strip()

    try:
        at = Path(git("rev-parse", "--show-toplevel")) == top and git("rev-parse", "--short=12", "HEAD")
        return at + "+changes" * bool(git("status", "--porcelain", "--", "kdlib")) if at else "unknown"
    except FileNotFoundError:  # no git on this machine
        return "unknown"
