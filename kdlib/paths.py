"""Where things lie on disk, and how a file is written whole or not at all."""

import os
import tempfile
from contextlib import contextmanager
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
    """Open a temporary file beside `path` for bytes; it takes `path`'s place only if all went well."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            os.fchmod(handle, 0o644)  # mkstemp makes it private
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
