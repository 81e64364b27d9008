"""Sphinx extension: what plays or is operated on a page shares its scripts and style sheets.

In a notebook each player and each picture with sliders brings its own, so that it works wherever
its output is shown. A page of the book may hold a dozen: here they refer to files instead. A
player's findings say where they are explained with a link.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from companion.diagnosis.rules import RULES
from companion.render.operate import fragment
from companion.render.operate.valley import SCRIPT as VALLEY
from companion.render.operate.weight import SCRIPT as WEIGHT
from companion.render.page import asset
from companion.render.player.fragment import ASSETS, CLASSES

# How a fragment begins, and what it brings.
KINDS = {
    f'<div class="{CLASSES}"': ASSETS,
    **{
        f'<div class="routine-{script.stem} {fragment.CLASSES}"': (fragment.STYLE, script)
        for script in (VALLEY, WEIGHT)
    },
}

_EXPLAINED = re.compile(r"Explained by: <code>companion explain ([a-z-]+)</code>")
_SECTIONS = {rule.name: rule.section for rule in RULES}


def share(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Take scripts and styles out of the fragments of one page."""
    if app.builder.format != "html":
        return

    def link(command: re.Match[str]) -> str:
        """What a command explains elsewhere, a section explains here."""
        page, _, anchor = _SECTIONS[command[1]].partition(".html#")
        if page not in app.env.titles or anchor not in _headings(app, page):
            return command[0]
        title = f"{app.env.titles[page].astext()}: {_headings(app, page)[anchor]}"
        return f'Explained in: <a href="{page}.html#{anchor}">{escape(title)}</a>'

    for raw in doctree.findall(nodes.raw):
        html = raw.astext()
        kind = next((kind for kind in KINDS if html.startswith(kind)), None)
        if kind is None:
            continue
        style, script = KINDS[kind]
        own_style, own_script = (
            f"<style>{asset(style)}</style>\n",
            f"<script>{asset(script)}</script>",
        )
        if own_style not in html or own_script not in html:
            raise ValueError(f"{docname}: HTML of an older companion; run `make notebooks`")
        html = html.replace(own_style, "")
        # At once, not when the page is whole: nothing below may move once it has been seen.
        html = html.replace(own_script, f'<script src="_static/{script.name}"></script>')
        if kind.startswith('<div class="routine-player'):
            html = _EXPLAINED.sub(link, html)
        raw.children = [nodes.Text(html)]
        raw["fragment"] = style.name


def _headings(app: Sphinx, page: str) -> dict[str, str]:
    """The headings of a page by their anchors."""
    links = app.env.tocs[page].findall(nodes.reference)
    return {link["anchorname"].removeprefix("#"): link.astext() for link in links}


def style(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """A page loads the styles of the fragments that it holds, and no other."""
    if doctree is not None:
        for name in sorted(
            {raw["fragment"] for raw in doctree.findall(nodes.raw) if "fragment" in raw}
        ):
            app.add_css_file(name)


def write(app: Sphinx) -> None:
    """Put the files beside the other static ones."""
    if app.builder.format == "html":
        folder = Path(app.outdir) / "_static"
        folder.mkdir(parents=True, exist_ok=True)
        for path in {path for assets in KINDS.values() for path in assets}:
            (folder / path.name).write_text(asset(path), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    app.connect("doctree-resolved", share)
    app.connect("html-page-context", style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
