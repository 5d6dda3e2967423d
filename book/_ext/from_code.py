"""The pages that are made of the code: `commands`, a directive, and docstrings as autodoc reads them."""

import inspect
import re
import subprocess
import sys

from sphinx.util.docutils import SphinxDirective


def commands() -> str:
    """Every command of `kdlib` with its arguments and options, as Markdown: what the command line says itself."""
    done = subprocess.run([sys.executable, "-m", "typer", "kdlib.cli", "utils", "docs", "--name", "kdlib"],
                          capture_output=True, text=True, check=True)
    _, *sections = done.stdout.split("\n## ")
    return "".join(f"## {section.strip()}\n\n" for section in sections)


class Commands(SphinxDirective):
    """It takes nothing and gives their sections."""

    def run(self):
        """Called by Sphinx."""
        return self.parse_text_to_nodes(commands(), allow_section_headings=True)


def restructured(app, what, name, thing, options, lines) -> None:
    """The library's docstrings are plain text with `code`: here what reStructuredText would take for markup is not, and
    a line "argument: what it is" becomes an argument's."""
    arguments = inspect.signature(thing).parameters if what in ("function", "method") else ()

    def plain(line):
        parts = re.split(r"(`[^`]*`)", line)  # each second one is code, which must not end where a word goes on
        parts[::2] = [re.sub(r"([*|_])", r"\\\1", part) for part in parts[::2]]
        parts[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in parts[2::2]]
        return "".join(parts)

    example = False
    for i, line in enumerate(lines):
        example = line.startswith(">>>") or (example and bool(line))
        if not example:
            argument = re.match(r"(\w+): ", line)
            is_one = argument and argument[1] in arguments
            lines[i] = f":param {argument[1]}: {plain(line[argument.end():])}" if is_one else plain(line)


def signature(app, what, name, thing, options, arguments, returns):
    """Of a spec, and of a record, its fields and their defaults: pydantic's own signature tells each bound, in ten
    lines."""
    if what != "class" or not hasattr(thing, "model_fields") | hasattr(thing, "__pydantic_config__"):
        return None
    fields = [f for f in inspect.signature(thing).parameters.values() if f.name != "kind"]
    named = "*, " * any(f.kind is f.KEYWORD_ONLY for f in fields)
    return f"({named}{', '.join(f.name if f.default is f.empty else f'{f.name}={f.default!r}' for f in fields)})", None


def setup(app):
    """Called by Sphinx."""
    app.add_directive("commands", Commands)
    app.connect("autodoc-process-docstring", restructured)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
