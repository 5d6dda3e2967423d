"""Say at once that the chapters are not executed yet, where Sphinx would warn of each and end in tracebacks."""

import re
from pathlib import Path


def _check(app, config):
    folder = Path(app.srcdir)
    for page in re.findall(r"(?:file|root): (\S+)", (folder / "_toc.yml").read_text(encoding="utf-8")):
        if not list(folder.glob(f"{page}.*")):
            raise SystemExit(f"there is no {page}: `make book` executes the chapters and then renders the book "
                             "(`make book PROFILE=smoke` in two minutes)")


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", _check, priority=0)
    return {"parallel_read_safe": True}
