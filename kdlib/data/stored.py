"""Real data sets on disk, checked, in one compact form that is memory-mapped.

Under `data_dir()/NAME`: `train-x.npy`, `train-y.npy`, `test-x.npy`, `test-y.npy` (of a part of a set, what it has of
these) and, written last, `info.json`. Images are uint8 [n, channels, h, w], reviews uint16 [n, 100] tokens, labels
uint8 or uint16 [n]. MNIST keeps the order of its official files; other sets are sorted by label and content, so that
they are the same to the byte whatever order the files came in. Photographs (ImageNet) stay where they are: their x is
the list of their files, each "class/file<tab>bytes".
"""

import functools
import hashlib
import importlib.metadata
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kdlib.catalog import DATA_SETS, DRAWN_BY, data_set
from kdlib.data.archives import MAC, DataError
from kdlib.data.readers import ARRAYS, PARTS
from kdlib.paths import atomic, data_dir
from kdlib.processes import locked

PHOTOS = ".jpeg", ".jpg", ".png"
Part, Sizes = Literal[PARTS], Annotated[int, Field(ge=0)]


class Note(BaseModel):
    """What info.json says of a stored data set."""

    model_config = ConfigDict(strict=True)
    source: str
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    counts: dict[Part, list[Sizes]]
    arrays: dict[Literal[ARRAYS], tuple[list[Sizes], str, Sizes]]  # shape, type, bytes of the file
    official: bool = False  # it came from files whose md5 is the official one
    words: str | None = None  # the sha256 of words.json
    folders: dict[Part, str] | None = None  # of photographs: where they are
    classes: Annotated[list[str], Field(min_length=2)] | None = None  # of one's own set: their names


def in_place(name: str) -> bool:
    """Whether a data set stays where its owner has it, so that only the list of its files is stored."""
    return name in DATA_SETS and DATA_SETS[name].inputs.files


def again(name: str) -> str:
    """What to do where a stored set is damaged."""
    if name not in DATA_SETS:
        return f"import it again (`kdlib data import {name} PATH --new`)"
    return f"import {'or fetch ' * (not in_place(name))}{name} again"


def info(name: str) -> dict:
    """What was noted when a data set was stored: its source, fingerprint, examples per class and arrays (`Note`)."""
    path = data_dir() / name / "info.json"
    try:
        return Note.model_validate_json(path.read_bytes()).model_dump()
    except FileNotFoundError:
        if any((path.parent / f"{part}.npy").exists() for part in ARRAYS):
            raise DataError(f"{name} is only partly here, its import did not end: {again(name)}") from None
        raise DataError(f"{name} is not here: run "
                        + f"`kdlib data fetch {name}` (needs the internet) or " * (not in_place(name))
                        + f"`kdlib data import {name} PATH` with a local copy") from None
    except ValidationError:
        raise DataError(f"{path} is damaged: {again(name)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None


def array(name: str, part: str) -> np.ndarray:
    """One of "train-x", "train-y", "test-x", "test-y" of a stored data set, memory-mapped.

    DataError if the set is not here, only partly here, or this file is not as it was stored (size, shape, type).
    """
    stored, path, mend = info(name)["arrays"].get(part), data_dir() / name / f"{part}.npy", again(name)
    if stored is None:
        raise DataError(f"{name} is a part of a data set and has no {part}: it is there for inputs that are added")
    if not path.exists():
        raise DataError(f"{name} is only partly here, {path} is missing: {mend}")
    values = read_array(path, mend)
    if (list(values.shape), values.dtype.str, path.stat().st_size) != stored:
        raise DataError(f"{path} is not the file that was stored: {mend}")
    return values


def read_array(path: Path, mend: str) -> np.ndarray:
    """A .npy file, memory-mapped; DataError names a damaged one and says what to do."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise DataError(f"{path} cannot be read ({error.strerror})") from None
        raise DataError(f"{path} is damaged ({error}); {mend}") from None


def words(name: str) -> list[str]:
    """The vocabulary of stored reviews: the word of each token, 0 the padding and 1 any other word."""
    digest, path = info(name)["words"], data_dir() / name / "words.json"
    try:
        raw = path.read_bytes()
        found = TypeAdapter(list[str]).validate_json(raw, strict=True)
    except FileNotFoundError:
        raise DataError(f"{name} is only partly here, {path} is missing: {again(name)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError:
        raise DataError(f"{path} is damaged: {again(name)}") from None
    if digest and hashlib.sha256(raw).hexdigest() != digest:
        raise DataError(f"{path} is not the file that was stored: {again(name)}")
    return found


def keep(name: str, arrays: dict, source: str, official: bool = False, folders: dict | None = None,
         classes: list[str] | None = None) -> None:
    """Store a data set's arrays (and its words), each file whole or not at all; info.json last."""
    folder, vocabulary = _own_folder(name), None
    with locked(folder / ".lock", f"data set {name}"):
        (folder / "info.json").unlink(missing_ok=True)
        noted = {}
        for part in (part for part in ARRAYS if part in arrays):
            path, values = folder / f"{part}.npy", arrays[part]
            with atomic(path) as file:
                np.save(file, values)
            noted[part] = list(values.shape), values.dtype.str, path.stat().st_size
        if "words" in arrays:
            vocabulary = json.dumps(arrays["words"], ensure_ascii=False).encode()
            with atomic(folder / "words.json") as file:
                file.write(vocabulary)
        about = Note(source=source, fingerprint=fingerprint(arrays), arrays=noted, official=official, folders=folders,
                     classes=classes, counts={part: np.bincount(arrays[f"{part}-y"]).tolist()
                                              for part in _parts(arrays)},
                     words=vocabulary and hashlib.sha256(vocabulary).hexdigest())
        with atomic(folder / "info.json") as file:
            file.write(about.model_dump_json(exclude_none=True).encode())


def _parts(arrays):
    return [part for part in PARTS if f"{part}-x" in arrays]


def _own_folder(name: str) -> Path:
    """The folder to store a data set in, made; DataError where others keep files in it, whose place ours would take."""
    folder = data_dir() / name
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(DataError):
        if (folder / ".lock").exists() or "fingerprint" in info(name):
            return folder
    if any(folder.iterdir()):
        raise DataError(f"{folder} has files that are not kdlib's: move them, or set KDLIB_DATA to another folder")
    return folder


def _digests(x):
    return [hashlib.sha256(np.ascontiguousarray(example)).digest() for example in x]


def canonical(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Examples sorted by label and content: the same whatever order they came in."""
    digests = _digests(x)
    order = sorted(range(len(x)), key=lambda i: (y[i], digests[i]))
    return x[order], y[order]


def fingerprint(arrays: dict) -> str:
    """32 hex digits of the content of "train-x", "train-y", "test-x" and "test-y" (a part of a set may lack two),
    whatever the order of examples."""
    whole = hashlib.sha256()
    for part in _parts(arrays):
        x, y = arrays[f"{part}-x"], arrays[f"{part}-y"]
        whole.update(f"{part} {x.dtype.str} {x.shape}".encode())
        whole.update(b"".join(sorted(b"%d " % label + digest for label, digest in zip(y, _digests(x), strict=True))))
    return whole.hexdigest()[:32]


def check(name: str) -> None:
    """Read a stored data set whole and compare it with what was stored, and with the official content if that is
    known; DataError says what is wrong."""
    about, known = info(name), data_set(name)
    arrays = {part: array(name, part) for part in about["arrays"]}
    found = fingerprint(arrays)
    if found != about["fingerprint"]:
        raise DataError(f"{name} on disk is not what was stored (fingerprint {found}, was {about['fingerprint']}): "
                        + again(name))
    if known.fingerprint and found != known.fingerprint:
        raise DataError(f"{name} on disk is not the official {name} (fingerprint {found}, not {known.fingerprint}): "
                        + again(name))
    if known.inputs.tokens and len(words(name)) <= max(int(arrays[f"{part}-x"].max()) for part in PARTS):
        raise DataError(f"{data_dir() / name / 'words.json'} has fewer words than the reviews: {again(name)}")
    if known.inputs.files and fingerprint(photo_arrays(
            {part: Path(folder) for part, folder in about["folders"].items()})) != found:
        raise DataError(f"the files of {name} in {Path(about['folders']['train']).parent} are not those that were "
                        "imported: import it again")


def sizes(name: str) -> tuple:
    """(training examples, test examples, classes) of a data set that is imported; () of one that is derived."""
    known = data_set(name)
    return (*map(known.total, PARTS), known.classes) if known.counts else ()


def status(name: str, whole: bool = False) -> tuple[str, float]:
    """(what is the case with a data set, MB on disk); `whole` reads a stored one and compares."""
    if where_from := derived(name):
        return where_from, 0.0
    folder, known = data_dir() / name, data_set(name)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6 if folder.is_dir() else 0.0
    try:
        about = info(name)
        for part in about["arrays"]:
            array(name, part)
        if known.inputs.tokens:
            words(name)
        if whole:
            check(name)
    except DataError as error:
        if size:
            return f"not usable: {error}", size
        return f"not here: kdlib data {f'import {name} PATH' if in_place(name) else f'fetch {name}'}", size
    return (f"here, from {about['source']}" + ", checked" * whole + unverified(name, about)
            + "; it only lends its images" * known.lends_only), size


def derived(name: str) -> str:
    """Where a data set comes from that is not stored under a name of its own; "" for others."""
    known = data_set(name)
    return "generated" if known.drawn is not None else known.stored and f"made from {known.stored}"


def unverified(name: str, about: dict) -> str:
    """What is to be said of a stored set whose official content nobody here knows."""
    known = data_set(name).fingerprint or data_set(name).own or in_place(name) or about["official"]
    return "" if known else ", not compared with the official files"


# --- what runs read

@functools.cache
def version() -> str:
    """Of the package that draws signals, which says what its draws hold as a fingerprint does of stored sets."""
    return importlib.metadata.version(DRAWN_BY)


def read_by(spec) -> list[str]:
    """The stored data sets that a run reads, DRAWN_BY for any that is drawn. What a run needs reads no other, but for
    the images that a policy or a related set brings in."""
    spec = spec.subject
    known = spec.data.known
    if known.drawn is not None:
        return [DRAWN_BY]
    return [known.stored or spec.data.name, *getattr(spec, "lenders", {}).values()]


def fingerprint_here(name: str) -> str | None:
    """The content of a data set as it is here: of a stored one its fingerprint, None where it is not here."""
    if data_set(name).drawn is not None:
        return version()
    with suppress(DataError):
        return info(name)["fingerprint"]


# --- photographs, which stay where they are

def photo_arrays(folders: dict) -> dict:
    """The list of {part: folder with <class>/*.JPEG}, labelled by the sorted names of the classes. Only the names and
    sizes of the files are read."""
    arrays = {}
    names = {part: sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not MAC.search(entry.name))
             for part, folder in folders.items()}
    for part, folder in folders.items():
        try:
            found = [(label, f"{name}/{entry.name}", entry.stat().st_size) for label, name in enumerate(names[part])
                     for entry in sorted(os.scandir(folder / name), key=lambda entry: entry.name)
                     if entry.name.lower().endswith(PHOTOS) and not MAC.search(entry.name)]
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read ({error.strerror}): unpack it again, or import it from "
                            "where it is now") from None
        if names[part] != names["train"] or not found:
            apart = sorted(set(names["train"]) ^ set(names[part]))
            other = "".join(f" ({one} is only in one part)" for one in apart[:1])
            raise DataError(f"{folder} has {len(names[part])} class folders and {len(found)} images in them{other}")
        if empty := next((path for _, path, size in found if not size), None):
            raise DataError(f"{folder / empty} is empty: unpack it again")
        arrays[f"{part}-x"] = np.array([os.fsencode(f"{path}\t{size}") for _, path, size in found])
        arrays[f"{part}-y"] = np.array([label for label, _, _ in found], np.uint16)
    return arrays


def photo_files(name: str, part: str, rows=slice(None)) -> list[Path]:
    """The paths of a data set's "train" or "test" photographs, of all or of some rows; nothing is read of the images.
    DataError if it was not imported or its folder is gone."""
    lines, folder = array(name, f"{part}-x")[rows], Path(info(name)["folders"][part])
    if not folder.is_dir():
        raise DataError(f"{folder} is gone: import {name} again from where it is now")
    return [folder / os.fsdecode(line).rpartition("\t")[0] for line in lines.tolist()]
