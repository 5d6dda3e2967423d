"""The settings of a process: the environment variables KDLIB_*, read, checked and documented here and nowhere else."""

import difflib
import functools
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kdlib.errors import KdlibError, sentence

PREFIX = "KDLIB_"


class SettingsError(KdlibError):
    """A variable KDLIB_* that does not exist, or one with a value that is none."""


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"there is no home folder for {path}") from None


Place = Annotated[Path, AfterValidator(_absolute)]


class Settings(BaseSettings):
    """Every setting, named as its variable without KDLIB_. An empty variable is one that is not set."""

    model_config = SettingsConfigDict(frozen=True, case_sensitive=True, env_ignore_empty=True,
                                      alias_generator=lambda name: PREFIX + name.upper())

    store: Place | None = Field(None, description="folder of the run store; if not set, `.kdlib/store` in the checkout")
    data: Place | None = Field(None, description="folder of the data cache; if not set, `.kdlib/data` in the checkout")
    results: Place | None = Field(None, description="folder of the committed records; if not set, `results` in the "
                                                    "checkout")
    from_records: bool = Field(False, description="`1`: every chapter reads the committed records and trains nothing; "
                                                  "`0`: it does not")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where runs happen: `auto` (CUDA where there is "
                                                                       "one), `cpu` or `cuda`")
    devices: int = Field(1, ge=1, le=1024, description="over how many devices a run is spread that trains alone")
    checkpoint_seconds: float = Field(120, ge=0, allow_inf_nan=False, description=(
        "how often a long run keeps its state, from which it goes on when it was killed; 120 if not set"))
    inception: Place | None = Field(None, description=(
        "file of Inception's weights, torch-fidelity's `weights-inception-2015-12-05-6726825d.pth`: with it, and with "
        "`pip install -e '.[fid]'`, a generator's record has FID and Inception Score beside the judge's"))


def settings() -> Settings:
    """The settings as the environment has them now; SettingsError names a variable that is wrong.

    A path may begin with ~; a relative one starts from the current folder of the process that first asks. It is put
    back into the environment absolute: workers, kernels and whatever else is started from here mean the same folder.
    """
    given = tuple(item for item in os.environ.items() if item[0].startswith(PREFIX))
    relative = any(not Path(value).is_absolute() for _, value in given)
    found = _settings(given, (os.getcwd(), os.environ.get("HOME")) if relative else None)
    os.environ.update((PREFIX + name.upper(), str(value)) for name, value in found if isinstance(value, Path))
    return found


@functools.lru_cache  # they are asked for whenever a path is
def _settings(given, _relative_to):
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name, _ in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
            raise SettingsError(f"there is no setting {name}; " + (
                f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"))
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(sentence(error)) from None


@contextmanager
def from_records():
    """Meanwhile this process and its children read the committed records and train nothing."""
    before = os.environ.get("KDLIB_FROM_RECORDS")
    os.environ["KDLIB_FROM_RECORDS"] = "1"
    try:
        yield
    finally:
        del os.environ["KDLIB_FROM_RECORDS"]
        if before is not None:
            os.environ["KDLIB_FROM_RECORDS"] = before
