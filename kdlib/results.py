"""What runs gave: a record each, and the committed ones, under `results/<profile>`.

Reading them needs no torch."""

import gc
import hashlib
import json
import lzma
import math
import re
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, StrictFloat, StrictInt, TypeAdapter, ValidationError

from kdlib.catalog import DRAWN_BY
from kdlib.errors import KdlibError, sentence
from kdlib.paths import atomic, results_dir
from kdlib.spec import Run, Spec, key_of, levels


def _numbers(curve):
    parts = curve.values() if isinstance(curve, dict) else [curve]
    try:
        if all(np.asarray(part).dtype.kind in "if" and np.isfinite(part).all() for part in parts):
            return curve
    except OverflowError:  # a whole number beyond all others
        pass
    raise ValueError("a curve is made of finite numbers")


UNSEEN = "unseen_"  # before a metric: with a teacher that the student never saw
COMPRESSED = ".xz"  # the end of the name of a file of records that was compressed, of metrics alone

# of sixty-four bits: what NumPy takes as a number
Number = Annotated[StrictInt, Field(ge=-2**63, lt=2**63)] | Annotated[StrictFloat, Field(allow_inf_nan=False)]
Curve = Annotated[list | dict[str, list], AfterValidator(_numbers)]  # a plane has several parts


class StoreError(KdlibError):
    """A record or checkpoint that is missing, damaged, edited, not readable or not what it says it is."""


class Damaged(StoreError):
    """A file that is not whole, or not as it was written: the store sets it aside."""


class NotThere(StoreError):
    """Records of runs that are not committed."""


class Foreign(StoreError):
    """A whole record that another version of kdlib made: neither used nor moved."""


@dataclass(frozen=True)
class Record:
    """One finished run: its spec, plain numbers, and where they came from."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # types are checked where a record is read: `parse`

    key: str
    spec: dict
    metrics: dict[str, Number]
    curves: dict[str, Curve]
    seconds: Annotated[Number, Field(ge=0)]
    device: str
    versions: dict[str, str]
    commit: str
    # what computed it (`devices.processor`); None: in the earliest records
    processor: str | None = None
    # fingerprints of the stored data sets that it read; None: the official ones, or none but MNIST-1D, whose
    # generator's version is among the others
    content: dict[str, str] | None = None
    weights: str | None = None  # the beginning of the `digest` of its final weights

    def line(self) -> str:
        """One line of JSON, closed by a checksum over all of it."""
        body = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(body | {"checksum": checksum(body)})

    def number(self, metric: str) -> float:
        """One of its metrics; KeyError where it has none of that name. After UNSEEN it is the same with a teacher that
        the student never saw, the mean over all such: the independent-student baseline (paper, Sec 3.2)."""
        if metric in self.metrics or not metric.startswith(UNSEEN):
            return self.metrics[metric]
        name = re.compile(rf"independent\d*_{metric.removeprefix(UNSEEN)}")  # as runs record it, a number each
        values = [value for known, value in self.metrics.items() if name.fullmatch(known)]
        return float(np.mean(values)) if values else self.metrics[metric]

    def numbers(self, metrics) -> dict[str, float]:
        """Those of these metrics that it has, by name."""
        found = {}
        for metric in metrics:
            with suppress(KeyError):
                found[metric] = self.number(metric)
        return found

    @property
    def planned(self) -> Run:
        """Its spec, as the value that can be run again."""
        return _spec.validate_json(json.dumps(self.spec))

    def rerun(self) -> "Record":
        """The same run now, trained again from nothing with all that it needs (but teachers whose weights are
        committed), here: minutes or hours, as `seconds` of both say. The store neither gives nor gets anything;
        `difference` says how far apart the two are."""
        from kdlib.audit import retrained  # which trains, where all else here reads

        return retrained(self)

    def made(self, digest: str) -> bool:
        """Whether weights of this digest are those that it speaks of; the earliest records speak of none."""
        return self.weights in (None, digest[:16])

    @property
    def made_on(self) -> dict[str, str | None]:
        """The content of the data that it read, by name, as far as it is said."""
        return {DRAWN_BY: self.versions.get(DRAWN_BY)} | (self.content or {})

    def difference(self, other: "Record") -> tuple[float, float]:
        """How far another result of this run lies from it: the largest difference of a metric (as a share of it where
        it exceeds 1) and of a curve (as a share of its largest value). Infinite where names, lengths or NaN differ. A
        record that was kept without its curves has none to compare."""
        scalars = {name: [value] for name, value in self.metrics.items()}
        return (_largest(scalars, {name: [value] for name, value in other.metrics.items()}, 1.0),
                0.0 if not self.curves else _largest(dict(_rows(self.curves)), dict(_rows(other.curves)), 1e-9))


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


_sorted = json.JSONEncoder(sort_keys=True).encode


def checksum(body: dict) -> str:
    """16 hex digits over a record without its checksum."""
    return _digest(_as_json(body)[0])


def _as_json(body: dict) -> tuple[str, str]:
    """(a record without its checksum, sorted by name; its spec, which is a part of that and by far the longest)."""
    parts = {name: _sorted(value) for name, value in sorted(body.items())}
    return f"{{{', '.join(f'{_sorted(name)}: {part}' for name, part in parts.items())}}}", parts.get("spec", "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_spec, _record = TypeAdapter(Spec), TypeAdapter(Record)


def parse(line: str | bytes, where) -> Record:
    """A record from its line; Damaged where it is not whole or was changed, Foreign where it is whole and another
    version of kdlib made it: with other fields, values of other types, or another key for its spec."""
    record, _ = _whole(line, where)
    try:
        key = record.planned.key
    except ValidationError as error:
        raise Foreign(f"{where} {OTHER_VERSION}, or by hand: {sentence(error)}") from None
    if key != record.key:
        raise Foreign(f"{where} {OTHER_VERSION}: its key is not that of its spec")
    return record


OTHER_VERSION = "was made by another version of kdlib"


def _whole(line, where) -> tuple[Record, str]:
    """(the same, whatever its spec is; the key of that spec)."""
    try:
        body = json.loads(line)
        given = body.pop("checksum")
        text, spec = _as_json(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Damaged(f"{where} is not a whole kdlib record (truncated or foreign)") from None
    closed = len(text) + len(', "checksum": "0123456789abcdef"')  # a line is longer where a key is there twice
    if _digest(text) != given or len(line.strip()) != closed:
        raise Damaged(f"{where} was changed after it was written (checksum differs)")
    try:
        return _record.validate_python(body), key_of(spec)
    except ValidationError as error:
        raise Foreign(f"{where} {OTHER_VERSION}, or by hand: {sentence(error)}") from None


class _Lines(MutableMapping):
    """Records by key, of lines that are as they were written: each is parsed when it is asked for. Of a spec that is
    looked for by its key, which is a hash of all of it, nothing else needs to be checked."""

    def __init__(self):
        self._there: dict[str, Record | tuple[bytes, str]] = {}

    def __getitem__(self, key):
        there = self._there[key]
        if not isinstance(there, Record):
            record, own = _whole(*there)
            if own != key:
                raise Foreign(f"{there[1]} {OTHER_VERSION}: its key is not that of its spec")
            there = self._there[key] = record
        return there

    def __setitem__(self, key, record):
        self._there[key] = record

    def __delitem__(self, key):
        del self._there[key]

    def __iter__(self):
        return iter(self._there)

    def __len__(self):
        return len(self._there)

    def add(self, line: bytes, where: str, checked: bool) -> str:
        """Its key. A line that is not `checked`, by the file's checksum, is parsed at once."""
        if checked and (match := KEY.match(line)):
            key = match[1].decode()
            self._there[key] = line, where
        else:
            record = parse(line, where)
            key = record.key
            self._there[key] = record
        return key

    def replace(self, others: "_Lines") -> None:
        """Those that `others` have too by theirs, none of them parsed."""
        self._there |= {key: there for key, there in others._there.items() if key in self._there}

    @property
    def trials(self) -> set[int]:
        """Those that teachers are recorded of, as each line says first of its own teacher."""
        lines = (there.line().encode() if isinstance(there, Record) else there[0] for there in self._there.values())
        return {int(match[1]) for line in lines if (match := TRIAL.search(line))}


KEY = re.compile(rb'\{"key": "([0-9a-f]{24})", ')  # with which `Record.line` begins
TRIAL = re.compile(rb'"kind": "teacher", "data": \{"name": "[^"]*", "trial": (\d+)')


def check_there() -> None:
    """StoreError where there is no folder of records at all: an installed library has none."""
    if not results_dir().is_dir():
        raise StoreError(f"there is no folder of records {results_dir()}: set KDLIB_RESULTS to `results` of a checkout")


def has_records(profile: str) -> bool:
    """Whether anything is recorded of a profile."""
    return any((results_dir() / profile).glob("*.jsonl*"))


class Recorded:
    """The committed records of a profile, `results/<profile>/<chapter>.jsonl` or, of one whose trials
    are recorded whole, one compressed file, behind the store's `get`.

    SHA256SUMS beside them, in the form of `sha256sum`, lists what `write` wrote: each file that it lists must be there,
    as it was written."""

    def __init__(self, profile: str, within: Path | None = None):
        self.folder, self.records = (within or results_dir()) / profile, _Lines()
        self.sums: dict[str, set[str]] = {}
        self.files: dict[str, list[str]] = {}  # the keys in each, in order
        self.listed_in = self.folder / "SHA256SUMS"
        listed = self._listed()
        for path in sorted([*self.folder.glob("*.jsonl"), *self.folder.glob(f"*.jsonl{COMPRESSED}")]):
            content = path.read_bytes()
            try:
                lines = lzma.decompress(content) if path.suffix == COMPRESSED else content
            except lzma.LZMAError as error:
                raise Damaged(f"{path} is damaged ({error}): restore it") from None
            self.sums[path.name] = {hashlib.sha256(content).hexdigest()}
            checked = bool(self.sums[path.name] & listed.get(path.name, set()))
            for number, line in enumerate(lines.splitlines(), 1):
                key = self.records.add(line, f"{path}, line {number},", checked)
                self.files.setdefault(path.name, []).append(key)
        for name in self.sums:
            if name not in self.files and name not in listed:
                raise StoreError(f"{self.folder / name} is empty: restore it, or remove it")
        for name, sums in listed.items():
            if not sums & self.sums.get(name, set()):
                what = "changed since it was recorded" if name in self.sums else "is missing"
                raise StoreError(f"{self.folder / name} {what} (SHA256SUMS beside it lists it): restore it; if all is "
                                 "as it should be, `sha256sum *.jsonl* > SHA256SUMS` there lists it anew")

    def get(self, spec) -> Record | None:
        """The record of a spec, None where it is not committed."""
        return self.records.get(spec.key)

    def put_in_place(self, others: "Recorded") -> None:
        """Of runs that `others` have too, take theirs from now on: another processor's, say. Nothing is written."""
        self.records.replace(others.records)

    def find(self, specs) -> dict[Run, Record]:
        """The records there are, by spec."""
        collects = gc.isenabled()
        gc.disable()  # none of thousands is freed before all are there, and looking for some takes a sixth of the time
        try:
            return {spec: record for spec in specs if (record := self.get(spec))}
        finally:
            if collects:
                gc.enable()

    def all_of(self, specs) -> dict[Run, Record]:
        """The records of `specs` and of all that they need, by spec; StoreError says how many are missing."""
        needed = [spec for layer in levels(specs) for spec in layer]
        found = self.find(needed)
        absent = [spec for spec in needed if spec not in found]
        if absent:
            profile = self.folder.name
            raise NotThere(f"{len(absent)} of {len(needed)} runs are not recorded in {self.folder} "
                             f"(the first: {absent[0].kind} {absent[0].key}); `kdlib record all --profile {profile}` "
                             f"trains and writes them, `kdlib plan all --profile {profile}` says at what cost")
        return found

    @property
    def trials(self) -> set[int]:
        """Those that teachers were recorded of."""
        return self.records.trials

    def weights_path(self, key: str) -> Path:
        """Where the weights of a recorded run are, if they are committed."""
        return self.folder / "weights" / f"{key}.safetensors"

    def others(self, name: str, records) -> list[Record]:
        """What a file holds besides these records, and no other file does: no run that was recorded is dropped."""
        elsewhere = {key for other, keys in self.files.items() if other != name for key in keys}
        known = elsewhere | {record.key for record in records}
        return [self.records[key] for key in self.files.get(name, ()) if key not in known]

    def write(self, name: str, records) -> None:
        """Write records as one file, and list it; compressed, and without curves, where its name says so. Both its
        checksums, old and new, are listed while it changes: an interruption at any point leaves a whole folder."""
        if name.endswith(COMPRESSED):
            records = [replace(record, curves={}) for record in records]
        lines = b"".join(record.line().encode() + b"\n" for record in records)
        if name.endswith(COMPRESSED):
            lines = lzma.compress(lines)
        listed, new = self.sums | self._listed(), {hashlib.sha256(lines).hexdigest()}
        self.folder.mkdir(parents=True, exist_ok=True)
        if name in listed:
            self._list(listed | {name: listed[name] | new})
        with atomic(self.folder / name) as file:
            file.write(lines)
        self._list(listed | {name: new})
        self.records.update({record.key: record for record in records})
        self.files[name] = [record.key for record in records]

    def _listed(self) -> dict[str, set[str]]:
        """The checksums of each file that is listed; none where nothing was recorded since there are such lists."""
        listed: dict[str, set[str]] = {}
        if self.listed_in.exists():
            lines = self.listed_in.read_text(errors="replace").splitlines()
            for line in lines or [""]:
                match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
                if not match:
                    raise StoreError(f"{self.listed_in} is damaged: restore it")
                listed.setdefault(match[2], set()).add(match[1])
        return listed

    def _list(self, listed) -> None:
        lines = [f"{checksum}  {name}\n" for name in sorted(listed) for checksum in sorted(listed[name])]
        with atomic(self.listed_in) as file:
            file.write("".join(lines).encode())
