"""Formulas as MathML, written when the book is built: browsers draw it, and no script is loaded for it."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.locale import _
from sphinx.util.math import get_node_equation_number


def _inline(self, node):
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _display(self, node):
    number = ""
    if node["number"]:
        number = f'<span class="eqno">({get_node_equation_number(self, node)})'
        self.body.append(f'<div class="math-display" id="{node["ids"][0]}" tabindex="0" role="group" '
                         f'aria-label="equation {node["number"]}">')
        self.body.append(convert(node.astext(), display="block") + number)
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span></div>\n")
    else:
        self.body.append(f'<div class="math-display">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True}
