"""Where the cells of a chapter stand on its page: code under what it shows, a figure on images beside its twin on
signals."""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

TWINS = {"signals": "MNIST-1D", "images": "real data"}  # tags of cells, and what a tab calls them


def _twin(node) -> str | None:
    return next((tag for tag in TWINS if f"tag_{tag}" in node.get("classes", ())), None)


class Twins(SphinxPostTransform):
    """Neighbouring cells of which some show signals and some images stand side by side, or are tabs."""

    default_priority = 260
    formats = ("html",)

    def run(self, **_):
        """Called by Sphinx."""
        for first in list(self.document.findall(nodes.container)):
            if not _twin(first) or first.parent is None or "pane" in first.parent.get("classes", ()):
                continue
            parent, start = first.parent, first.parent.index(first)
            group = []
            for node in parent.children[start:]:
                if not isinstance(node, nodes.container) or not _twin(node):
                    break
                group.append(node)
            kinds = list(dict.fromkeys(map(_twin, group)))
            if len(kinds) < 2:
                continue
            twins = nodes.container(classes=["twins"])
            for kind in kinds:
                pane = nodes.container(classes=["pane", kind])
                for node in group:
                    if _twin(node) == kind:
                        parent.remove(node)
                        pane += node
                twins += pane
            parent.insert(start, twins)


class CodeBelow(SphinxPostTransform):
    """Collapsed code comes after what it shows; that of a cell that shows nothing after the next that does."""

    default_priority = 250  # after myst-nb has collapsed it
    formats = ("html",)

    def run(self, **_):
        """Called by Sphinx."""
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("nb_element") != "cell_code" or cell.get("hide_mode") != "input":
                continue
            later = [node for node in cell.parent.children[cell.parent.index(cell) + 1:] if _shows(node)]
            code = cell.children[0]
            if len(cell.children) == 1 and later:  # it shows nothing itself
                cell.parent.remove(cell)
                later[0] += code
            elif len(cell.children) > 1:
                below = later and later[0].get("hide_mode") is None and cell.parent.index(later[0]) == (
                    cell.parent.index(cell) + 1)  # what says where a figure's numbers come from stays with it
                codes = [part for part in cell.children if part.get("nb_element") != "cell_code_output"]
                for part in codes:
                    cell.remove(part)
                    (later[0] if below else cell).append(part)


def _shows(node) -> bool:
    return isinstance(node, nodes.container) and any(
        part.get("nb_element") == "cell_code_output" for part in node.children)


def setup(app):
    """Called by Sphinx."""
    app.add_post_transform(Twins)
    app.add_post_transform(CodeBelow)
    return {"parallel_read_safe": True}
