"""Sphinx extension: the players of a page share one script and one style sheet.

In a notebook each player brings its own, so that it works wherever its output is shown. A page of
the book may hold a dozen: here they refer to two files instead, and say where a finding is
explained with a link.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from companion.render.player.fragment import CLASSES, asset

FILES = ("player.css", "player.js")
OWN_STYLE = f"<style>{asset(FILES[0])}</style>"
OWN_SCRIPT = f"<script>{asset(FILES[1])}</script>"
PLAYER = f'<div class="{CLASSES}"'


def share(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Take script and style out of the players of one page."""
    if app.builder.format != "html":
        return

    def link(place: re.Match[str]) -> str:
        page, anchor = place[1], place[2]
        title = f"{app.env.titles[page].astext()}: {_headings(app, page)[anchor]}"
        return f'<a href="{page}.html#{anchor}">{escape(title)}</a>'

    for raw in doctree.findall(nodes.raw):
        html = raw.astext()
        if not html.startswith(PLAYER):
            continue
        if OWN_STYLE not in html or OWN_SCRIPT not in html:
            raise ValueError(f"{docname}: a player of an older companion; run `make notebooks`")
        html = html.replace(f"{OWN_STYLE}\n", "")
        # At once, not when the page is whole: nothing below may move once it has been seen.
        html = html.replace(OWN_SCRIPT, f'<script src="_static/{FILES[1]}"></script>')
        html = re.sub(r"(?<=Explained in: )(\d\d_\w+)\.html#([\w-]+)", link, html)
        raw.children = [nodes.Text(html)]
        raw["player"] = True


def _headings(app: Sphinx, page: str) -> dict[str, str]:
    """The headings of a page by their anchors."""
    links = app.env.tocs[page].findall(nodes.reference)
    return {link["anchorname"].removeprefix("#"): link.astext() for link in links}


def style(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """A page without a player does not load its style."""
    if doctree is not None and any("player" in raw for raw in doctree.findall(nodes.raw)):
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
