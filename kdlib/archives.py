"""The files of a folder, zip or tar, read into memory within limits: nothing is unpacked to disk, nothing executed."""

import gzip
import io
import lzma
import os
import pickletools
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from kdlib.errors import KdlibError

# bytes after unpacking, of one file and of all that are read; the largest of any set are EMNIST's, 547 MB and 640 MB
FILE_LIMIT, TOTAL_LIMIT = 1 << 30, 2 << 30
MEMBER_LIMIT = 1_000_000  # files in an archive

BROKEN = (OSError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
          NotImplementedError, RuntimeError)  # the last two: a compression that zipfile does not know, a password


class DataError(KdlibError):
    """Data that is missing, damaged or not what it says it is."""


def read(source: Path, wanted: re.Pattern) -> dict[str, bytes]:
    """The files of `source` whose path `wanted` finds, by path; gzipped ones come unpacked, without their .gz.

    DataError if it does not exist, is damaged or too large, or if a member's path leads out of the archive.
    """
    source, files, total = Path(source), {}, 0
    if not source.exists():
        raise DataError(f"{source} does not exist")
    try:
        for name, size, content in _files(source):
            if not wanted.search(name):
                continue
            if size > FILE_LIMIT:
                raise DataError(f"{name} in {source} is larger than any file of this data set can be: it is not read")
            raw = content()
            if name.endswith(".gz"):
                name, raw = name.removesuffix(".gz"), gunzip(raw, f"{name} in {source}")
            total += len(raw)
            if total > TOTAL_LIMIT:
                raise DataError(f"{source} unpacks to more than {TOTAL_LIMIT >> 20:,} MB: it is not read")
            files[name] = raw
    except BROKEN as error:
        raise DataError(f"{source} is damaged or cut off ({error or type(error).__name__}): get it again") from None
    return files


def gunzip(raw: bytes, name: str) -> bytes:
    with gzip.open(io.BytesIO(raw)) as file:
        raw = file.read(FILE_LIMIT + 1)
    if len(raw) > FILE_LIMIT:
        raise DataError(f"{name} unpacks to more than {FILE_LIMIT >> 20:,} MB: it is not read")
    return raw


def _files(source) -> Iterator[tuple]:
    """(path with slashes, size in bytes, function that reads it) of every regular file."""
    if source.is_dir():
        for folder, _, names in sorted(os.walk(source)):
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_file():
                    yield path.relative_to(source).as_posix(), path.stat().st_size, path.read_bytes
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            for member in _inside(source, members, lambda m: m.filename):
                if not member.is_dir():
                    yield member.filename, member.file_size, lambda m=member: archive.read(m)
    elif tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            size = 0
            for member in _inside(source, archive, lambda m: m.name):
                size += member.size  # what is skipped is unpacked too
                if size > 2 * TOTAL_LIMIT:
                    raise DataError(f"{source} unpacks to more than {2 * TOTAL_LIMIT >> 20:,} MB: it is not read")
                if member.isreg():
                    yield member.name, member.size, lambda m=member: archive.extractfile(m).read()
    else:
        raise DataError(f"{source} is neither a folder nor a whole zip or tar: name the folder or the archive; if this "
                        "is the archive, it is cut off, get it again")


def _inside(source, members, name_of):
    """The members one after another, as long as they are not too many and none leads elsewhere."""
    for i, member in enumerate(members):
        name = name_of(member)
        if i == MEMBER_LIMIT:
            raise DataError(f"{source} has more than {MEMBER_LIMIT:,} files in it: it is not read")
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise DataError(f"{source} has a member {name!r} that leads out of it: do not trust this archive")
        yield member


def read_pickled(raw: bytes, labels: str) -> tuple[bytes, list[int]]:
    """(the longest string in a pickle, the whole numbers that follow the string `labels`): what a batch of CIFAR's
    Python version needs. The opcodes are read as text is, not executed."""
    longest, numbers, key = "", [], None
    try:
        for opcode, value, _ in pickletools.genops(raw):
            if isinstance(value, bytes):
                value = value.decode("latin-1")
            if opcode.name in ("BININT1", "BININT2", "BININT") and key == labels:
                numbers.append(value)
            elif isinstance(value, str):
                key, longest = value, max(longest, value, key=len)
    except ValueError as error:
        raise DataError(f"this is not a batch of CIFAR ({error})") from None
    return longest.encode("latin-1", "replace"), numbers
