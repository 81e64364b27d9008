"""Sphinx extension: the page a server shows for an address that leads nowhere.

It is shown at whatever depth the reader asked for, so once the course has an address its links
start from there; without one they are like any other page's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sphinx.application import Sphinx

# A link that is neither on this page, nor whole, nor from the server's root.
RELATIVE = re.compile(r'\b(href|src|action|data-content_root)="(?!#|/|[a-z][a-z0-9+.-]*:)([^"]*)"')


def add_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """One more page for Sphinx to write."""
    yield "404", {"title": "Page not found"}, "404.html"


def from_root(page: str, root: str) -> str:
    """The page with its relative links starting from `root`.

    >>> from_root('<a href="a.html"> <a href="#b"> <script src="_static/c.js">', "/course/")
    '<a href="/course/a.html"> <a href="#b"> <script src="/course/_static/c.js">'
    """
    return RELATIVE.sub(lambda m: f'{m[1]}="{root}{m[2].removeprefix("./")}"', page)


def settle_links(app: Sphinx, exception: Exception | None) -> None:
    """Make the written page's links independent of where it is shown."""
    if exception or not app.config.course_address or app.builder.format != "html":
        return
    path = Path(app.outdir) / "404.html"
    root = urlsplit(app.config.html_baseurl).path
    path.write_text(from_root(path.read_text(encoding="utf-8"), root), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-collect-pages", add_page)
    app.connect("build-finished", settle_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
