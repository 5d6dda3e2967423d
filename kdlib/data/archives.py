"""The files of a folder, zip or tar, read into memory within limits: nothing is unpacked to disk, nothing executed.

What an archive says of itself is not believed. Files are read in pieces, up to a limit. What Python's readers would
read at once, however long it claims to be (a tar's headers, a zip's list of files), they get from `_Tar` and `_Zip`,
which refuse. What they raise on a malformed archive, which may be anything, becomes one sentence.
"""

import bz2
import gzip
import io
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from kdlib.errors import KdlibError

PIECE = 1 << 20  # bytes read at a time
MEMBER_LIMIT = 300_000  # files and folders; SVHN as images, with what a Mac adds to each, has 200,000
TAR_LIMIT = 4 << 30  # bytes that a tar may unpack to, with what is skipped
HEADER_LIMIT = 1 << 20  # bytes in a tar that say what the next file is
LIST_LIMIT = 300  # bytes in a zip that say what a file is, on average

MAC = re.compile(r"(^|/)(\._[^/]*|__MACOSX)(/|$)")  # what a Mac puts beside the files of an archive


class DataError(KdlibError):
    """Data that is missing, damaged or not what it says it is."""


def read(source: Path, wanted: Callable[[str], object], limit: int) -> dict[str, bytes]:
    """The files of `source`, or `source` itself, whose path is `wanted`, by path; those in .gz are unpacked.

    A damaged .gz beside the same file unpacked is left out. DataError if `source` does not exist, cannot be read, is
    damaged or has more than `limit` bytes of such files, or if a member's path leads out of the archive.
    """
    source, files, damaged, room = Path(source), {}, {}, limit
    if not source.exists():
        raise DataError(f"{source} does not exist")
    if not (source.is_dir() or source.is_file()):  # /dev/zero has no end
        raise DataError(f"{source} is neither a folder nor a file")
    too_large = f"{source} has more than {limit >> 20:,} MB of the files that are looked for: it is not read"
    try:
        alone = source.is_file() and wanted(source.name)
        for path, size, opened in [_file(source)] if alone else _files(source):
            if not wanted(path):
                continue
            if size > room:
                raise DataError(too_large)
            raw = _whole(opened(), room)
            try:
                files[path] = _whole(gzip.open(io.BytesIO(raw)), room) if path.endswith(".gz") else raw
            except (OSError, EOFError, ValueError, zlib.error) as error:
                damaged[path] = error
            room -= len(files.get(path, raw))
            if room < 0:
                raise DataError(too_large)
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{source} needs too much memory: it is not read") from None
    except UnicodeDecodeError:
        raise DataError(f"{source} has a name that says it is UTF-8 and is not: pack it again") from None
    except NotImplementedError as error:  # zipfile's, of a compression
        raise DataError(f"{source} is packed in a way that is not known here ({error}): unpack it and name the folder"
                        ) from None
    except OSError as error:
        if error.errno:
            raise DataError(f"{error.filename or source} cannot be read ({error.strerror})") from None
        raise _broken(source, error) from None
    except Exception as error:
        raise _broken(source, error) from None
    for path, error in damaged.items():
        if path.removesuffix(".gz") not in files:
            raise _broken(f"{path} in {source}", error)
    return files


def _broken(what, error):
    return DataError(f"{what} is damaged or cut off ({error or type(error).__name__}): get it again")


def _whole(file, room: int) -> bytes:
    """A file's content, or, if there is more of it, a little more than `room` bytes."""
    content = io.BytesIO()
    with file:
        while content.tell() <= room and (piece := file.read(PIECE)):
            content.write(piece)
    return content.getvalue()


def _files(source) -> Iterator[tuple[str, int, Callable]]:
    """(path with slashes, size that is claimed, function that opens it) of every regular file but a Mac's own."""
    members = _folder(source) if source.is_dir() else _zip(source) if zipfile.is_zipfile(source) else _tar(source)
    for i, (path, size, opened) in enumerate(members):
        if i == MEMBER_LIMIT:
            raise DataError(f"{source} has more than {MEMBER_LIMIT:,} files in it: it is not read")
        if opened and not MAC.search(path):
            yield path, size, opened


def _file(path, name=None):
    return name or path.name, path.stat().st_size, lambda: open(path, "rb")


def _folder(source, folder="", above=()):
    real = (source / folder).resolve()
    if real in above:  # a link to a folder that it is in
        return
    for name in sorted(os.listdir(source / folder)):
        path = source / folder / name
        if path.is_dir():
            yield f"{folder}{name}", 0, None
            yield from _folder(source, f"{folder}{name}/", (*above, real))
        elif path.is_file():
            yield _file(path, f"{folder}{name}")


def _zip(source):
    with _Zip(source) as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            path = _path(source, member.filename)
            if member.flag_bits & 1:
                raise DataError(f"{source} is encrypted: unpack it and name the folder")
            yield path, member.file_size, None if path.endswith("/") else lambda m=member: archive.open(m)


class _Zip(io.FileIO):
    """A zip whose list of files is refused before it is parsed, if it is too long."""

    def read(self, size=-1):
        if size > LIST_LIMIT * MEMBER_LIMIT or (raw := super().read(size)).count(b"PK\1\2") > MEMBER_LIMIT:
            raise DataError(f"{self.name} has more than {MEMBER_LIMIT:,} files in it: it is not read")
        return raw


def _tar(source):
    with open(source, "rb") as file:
        stream = _Tar(source, _unpacked(file))
        try:
            archive = tarfile.open(fileobj=stream, mode="r:")
        except tarfile.TarError:
            raise DataError(f"{source} is neither a folder nor a whole zip or tar: name the folder or the archive; if "
                            "this is the archive, it is cut off, get it again") from None
        with archive:
            for member in iter(archive.next, None):
                archive.members.clear()  # it would keep them all
                path = _path(source, member.name)
                if member.issparse():
                    raise DataError(f"{source} has sparse files in it ({path}): pack it without --sparse")
                stream.left = max(member.size, 0)
                yield path, stream.left, (lambda m=member: archive.extractfile(m)) if member.isreg() else None
                stream.left = HEADER_LIMIT


def _unpacked(file):
    start = file.read(6)
    file.seek(0)
    if start[:2] == b"\x1f\x8b":
        return gzip.open(file)
    if start == b"\xfd7zXZ\0":  # none comes so, and it claims how much memory it takes
        raise DataError(f"{file.name} is packed with xz, which is not read: unpack it (`tar xf`) and name the folder")
    return bz2.open(file) if start[:3] == b"BZh" else file


class _Tar:
    """The bytes of a tar, forwards only (a negative size would lead in circles), and no more than `left` of them until
    that is set anew (a header may claim any length). What is skipped is read too: it may have to be unpacked."""

    def __init__(self, source, file):
        self.source, self.file, self.place, self.left = source, file, 0, HEADER_LIMIT

    def tell(self):
        return self.place

    def seek(self, to):
        if to < self.place:
            raise tarfile.ReadError("a size in it is negative")
        while self.place < to and self._next(min(PIECE, to - self.place)):
            pass

    def read(self, size):
        if size > self.left:
            raise DataError(f"{self.source} has a header of more than {HEADER_LIMIT >> 20} MB: it is malformed, and is "
                            "not read")
        self.left -= size
        return self._next(size)

    def _next(self, size):
        if self.place + size > TAR_LIMIT:
            raise DataError(f"{self.source} unpacks to more than {TAR_LIMIT >> 20:,} MB: it is not read")
        piece = self.file.read(size)
        self.place += len(piece)
        return piece


def _path(source, name):
    """A member's path with slashes: some programs of Windows write the other ones."""
    path = name.replace("\\", "/")
    if path.startswith("/") or path[1:2] == ":" or ".." in path.split("/"):
        raise DataError(f"{source} has a member {name!r} that leads out of it: do not trust this archive")
    return path
