"""Formulas as MathML, which browsers show by themselves: no script, no network."""

import re

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def to_mathml(latex, display):
    """Convert a formula, in lines that are aligned where it says so."""
    latex = latex.strip()
    outside = re.sub(r"\\begin\{(\w+)\}.*?\\end\{\1\}", "", latex, flags=re.DOTALL)
    if r"\\" in outside or "&" in outside:
        latex = rf"\begin{{split}}{latex}\end{{split}}"
    mathml = convert(latex, display=display)
    # browsers know no other variants than the normal one: take the letter itself
    mathml = mathml.replace('<mi mathvariant="script">L</mi>', "<mi>ℒ</mi>")
    if re.search(r"&(?!#?\w+;)|<mi>\\", mathml):
        raise ValueError(f"A part of this formula cannot be converted: {latex}")
    return mathml


def visit_inline(self, node):
    """Write a formula within a line."""
    self.body.append(to_mathml(node.astext(), "inline"))
    raise SkipNode


def visit_block(self, node):
    """Write a formula of its own."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(to_mathml(node.astext(), "block"))
    self.body.append("</div>")
    raise SkipNode


def setup(app):
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
