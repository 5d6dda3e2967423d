"""Where things lie on disk, and how a file is written whole or not at all."""

import fcntl
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path


def project_root() -> Path:
    """The checkout this package is installed from (editable), else the current folder."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "_toc.yml").exists() else Path.cwd()


def store_dir() -> Path:
    return Path(os.environ.get("KDLIB_STORE") or project_root() / ".kdlib" / "store")


def data_dir() -> Path:
    return Path(os.environ.get("KDLIB_DATA") or project_root() / ".kdlib" / "data")


def results_dir() -> Path:
    return Path(os.environ.get("KDLIB_RESULTS") or project_root() / "results")


@contextmanager
def atomic(path: Path):
    """Open a temporary file beside `path` for bytes; it takes `path`'s place only if all went well.

    An OSError on the way, a full disk say, names `path`."""
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            with suppress(OSError):  # a file system without locks; the lock is for `being_written` only
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield file
            os.fchmod(handle, 0o644)  # mkstemp makes it private
            file.flush()
            os.fsync(file.fileno())
            os.replace(name, path)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def being_written(path: Path) -> bool:
    """Whether a living process has this temporary file of `atomic` open."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
