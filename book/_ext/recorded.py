"""The pages that are made of the committed records when the book is built: the explorer, the reproducibility report."""

from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from kdlib import evidence, explorer, launch, report

PAPER = "singlehtml"  # the builder that the PDF is printed from
sources = cache(explorer.sources)
standings = cache(lambda: report.standings(sources()))


class recorded(nodes.General, nodes.Element):
    """What a script of the page puts to work."""


class Recorded(SphinxDirective):
    """`{recorded} NAME`: explorer, surfaces, runs, launch, or a part of the report."""

    required_arguments = 1

    def run(self):
        """Called by Sphinx."""
        if self.arguments[0] in report.PARTS:
            return self.parse_text_to_nodes(report.PARTS[self.arguments[0]](sources(), standings()))
        if self.arguments[0] == "launch":
            return self.parse_text_to_nodes(launch.markdown(launch.address(Path(self.env.srcdir))))
        return [recorded(part=self.arguments[0])]


def _visit(self, node):
    paper = self.builder.name == PAPER
    folder = ("" if paper else "../" * self.builder.current_docname.count("/")) + "_static"
    parts = {"explorer": lambda: explorer.page(folder, not paper),
             "runs": lambda: "" if paper else evidence.all_runs(sources()),  # longer than the book
             "surfaces": lambda: "" if paper else explorer.surface_page()}
    self.body.append(parts[node["part"]]())
    raise nodes.SkipNode


def _write(app, exception):
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for name, content in explorer.files(sources()).items():
        (out / "_static" / name).write_bytes(content)
    (out / "book").mkdir(exist_ok=True)
    (out / "book" / "claims.json").write_bytes(report.as_json(standings()))


def setup(app):
    """Called by Sphinx."""
    app.add_node(recorded, html=(_visit, None))
    app.add_directive("recorded", Recorded)
    app.connect("build-finished", _write, priority=400)  # before what tidies the pages
    return {"parallel_read_safe": True}
