"""Where things lie on disk, and how a file is written whole or not at all."""

import os
import secrets
from contextlib import contextmanager
from pathlib import Path

from kdlib.settings import settings


def project_root() -> Path:
    """The checkout this package is installed from (editable), else the current folder."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "_toc.yml").exists() else Path.cwd()


def store_dir() -> Path:
    """The folder of runs: KDLIB_STORE, or one in the checkout."""
    return settings().store or project_root() / ".kdlib" / "store"


def data_dir() -> Path:
    """The folder of data sets: KDLIB_DATA, or one in the checkout."""
    return settings().data or project_root() / ".kdlib" / "data"


def results_dir() -> Path:
    """The folder of committed records: KDLIB_RESULTS, or `results` in the checkout."""
    return settings().results or project_root() / "results"


@contextmanager
def atomic(path: Path):
    """Open a temporary file beside `path` for bytes; it takes `path`'s place only if all went well. Its mode is what
    the umask leaves of 0666, its name `path`'s between a dot and eight hex digits (`store.LEFT`, which knows earlier
    versions' names too).

    An OSError on the way, a full disk say, names `path`."""
    made = None
    try:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with open(temporary, "xb") as file:
            made = temporary
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if made:
            made.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
