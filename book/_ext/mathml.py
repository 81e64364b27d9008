"""Sphinx extension: formulas are MathML, made when the book is built.

Every browser draws it, a screen reader reads it, and no page needs a script for it. A formula that
cannot be converted is a warning, so the build (`-W`) fails instead of showing a wrong one.
"""

from __future__ import annotations

import html
import re

from docutils import nodes
from latex2mathml import exceptions
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

# They have no base class of their own.
ERRORS = tuple(
    e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)
)


def mathml(tex: str, display: str = "inline") -> str:
    r"""A formula as a `<math>` element.

    Args:
        tex: The formula, as it stands between dollars.
        display: "inline" or "block".

    Raises:
        ValueError: For TeX that has no meaning here, also where latex2mathml lets it pass.

    >>> mathml(r"\eta")
    '<math display="inline"><mrow><mi>&#x003B7;</mi></mrow></math>'
    """
    if tex.count("{") != tex.count("}"):
        raise ValueError("its braces do not pair up")
    try:
        # The same layout under two names; only one is known there.
        found = convert(re.sub(r"\{aligned\}", "{split}", tex), display=display)
    except ERRORS as error:
        raise ValueError(type(error).__name__) from None
    if unknown := re.search(r"\\[A-Za-z]+|&(?!#?\w+;)", found):
        raise ValueError(f"{unknown.group()} is not known here")
    return found.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")


def _formula(node: nodes.math | nodes.math_block, display: str) -> str:
    tex = node.astext()
    try:
        return mathml(tex, display)
    except ValueError as error:
        logging.getLogger(__name__).warning("formula %r: %s", tex, error, location=node)
        return f"<code>{html.escape(tex)}</code>"


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula that stands in a sentence."""
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate"))
    self.body.append(_formula(node, "inline") + "</span>")
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number where it has a label."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body.append(_formula(node, "block") + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
