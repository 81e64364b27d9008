"""Sphinx extension: the valleys of the book share one script and one style sheet, as players do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from companion.course.operate import CLASSES, asset

FILES = ("valley.css", "valley.js")
OWN_STYLE = f"<style>{asset(FILES[0])}</style>"
OWN_SCRIPT = f"<script>{asset(FILES[1])}</script>"
VALLEY = f'<div class="{CLASSES}"'


def share(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Take script and style out of the valleys of one page."""
    if app.builder.format != "html":
        return
    for raw in doctree.findall(nodes.raw):
        html = raw.astext()
        if not html.startswith(VALLEY):
            continue
        if OWN_STYLE not in html or OWN_SCRIPT not in html:
            raise ValueError(f"{docname}: a valley of an older companion; run `make notebooks`")
        html = html.replace(f"{OWN_STYLE}\n", "")
        # At once: nothing below may move once it has been seen.
        html = html.replace(OWN_SCRIPT, f'<script src="_static/{FILES[1]}"></script>')
        raw.children = [nodes.Text(html)]
        raw["valley"] = True


def style(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """A page without a valley does not load its style."""
    if doctree is not None and any("valley" in raw for raw in doctree.findall(nodes.raw)):
        app.add_css_file(FILES[0])


def write(app: Sphinx) -> None:
    """Put the two files beside the other static ones."""
    if app.builder.format == "html":
        folder = Path(app.outdir) / "_static"
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).write_text(asset(name), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    app.connect("doctree-resolved", share)
    app.connect("html-page-context", style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
