"""Sphinx extension: a page loads what it uses.

The list of extensions in `_config.yml` leaves out those of jupyter-book that bring scripts and
styles for elements this course does not have. What is left over is dropped here.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# Colours for terminal escapes, and styles for tabs, cards and advertisements, which no page has;
# what is left of both, cells and copy buttons, is in `course.css` and `drawers_and_paper.css`.
UNUSED = ("mystnb.", "furo-extensions.")

# jupyter-book sets these for two extensions that are not loaded; Sphinx warns about unknown ones.
LEFTOVERS = ("comments_config", "use_jupyterbook_latex")


def drop_unused(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take what no element needs, and what the theme says itself, out of one page's head."""
    metatags = context.get("metatags", "")
    context["metatags"] = re.sub(r'<meta name="viewport"[^>]*>\n?', "", metatags)
    context["css_files"] = [
        sheet
        for sheet in context["css_files"]
        if not str(sheet.filename).rpartition("/")[2].startswith(UNUSED)
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    for name in LEFTOVERS:
        app.add_config_value(name, None, "")
    # The last word: the sheets are added by other extensions up to then.
    app.connect("html-page-context", drop_unused, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
