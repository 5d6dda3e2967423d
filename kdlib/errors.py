"""What all errors have in common that a user of kdlib can mend: one base class, and one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line says its help without pydantic
    from pydantic import ValidationError


class KdlibError(Exception):
    """An error whose message is a sentence for the user: what is wrong, and what to do."""


def sentence(error: ValidationError, **choices) -> str:
    """A pydantic error as one sentence that names the field and what is wrong with it; `choices`: the values that there
    are of a field that decides what the others are, for where it is missing."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "spec"
    if first["type"] == "value_error":
        return f"{where}: {first['msg'].removeprefix('Value error, ')}"
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no such key"
    if first["type"] == "union_tag_not_found":
        name = first["ctx"]["discriminator"].strip("'")
        return f"{where}: it needs a {name}: {', '.join(choices.get(name, ()))}"
    return f"{where}: {first['msg']} (got {short(first.get('input'))})"


def short(value) -> str:
    """What was given, for a message: of long values the beginning."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."
