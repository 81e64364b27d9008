"""Sphinx extension: a page at each old address of a chapter, with a link to where it is now.

A section keeps its old address too: there is an element of that name, a link to the section. A
page that was left out of the book is not made, so that books of one page build as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def add_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """One page for each old address."""
    for old, pages in app.config.course_moved.items():
        there = [page for page in pages if page in app.env.tocs]
        if there:
            places = [(page, app.env.titles[page].astext(), _sections(app, page)) for page in there]
            yield old, {"title": "This chapter has moved", "places": places}, "moved.html"


def _sections(app: Sphinx, page: str) -> list[tuple[str, str]]:
    """Anchors and headings of a page's own sections."""
    ends = {"what-you-can-now-say", "exercises", "where-to-go-on"}
    links = app.env.tocs[page].findall(nodes.reference)
    found = [(link["anchorname"].removeprefix("#"), link.astext()) for link in links]
    return [(anchor, words) for anchor, words in found if anchor and anchor not in ends]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("course_moved", {}, "html")
    app.connect("html-collect-pages", add_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
