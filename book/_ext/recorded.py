"""The pages that are made of the committed records when the book is built: the explorer, the reproducibility report."""

from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from kdlib import explorer

PAPER = "singlehtml"  # the builder that `kdlib book --pdf` prints from
sources = cache(explorer.sources)


class recorded(nodes.General, nodes.Element):
    """A part of a page, by its name."""


class Recorded(SphinxDirective):
    """`{recorded} NAME`, of PARTS."""

    required_arguments = 1

    def run(self):
        """Called by Sphinx."""
        return [recorded(part=self.arguments[0])]


def _visit(self, node):
    paper = self.builder.name == PAPER
    folder = ("" if paper else "../" * self.builder.current_docname.count("/")) + "_static"
    parts = {"explorer": lambda: explorer.page(folder, not paper),
             "surfaces": lambda: "" if paper else explorer.surface_page()}
    self.body.append(parts[node["part"]]())
    raise nodes.SkipNode


def _write(app, exception):
    if not exception and app.builder.format == "html":
        for name, content in explorer.files(sources()).items():
            (Path(app.outdir) / "_static" / name).write_bytes(content)


def setup(app):
    """Called by Sphinx."""
    app.add_node(recorded, html=(_visit, None))
    app.add_directive("recorded", Recorded)
    app.connect("build-finished", _write, priority=400)  # before what tidies the pages
    return {"parallel_read_safe": True}
