"""Sphinx extension: what a page says about where it stands, once the course has an address.

The address is `html_baseurl` in `_config.yml`, or the environment variable COURSE_URL when the
book is built, empty for none; without one, no page names it and there is no sitemap. An edition
in another language stands in a folder of its own under the same address (`course_editions`).
"""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

# Pages that lead to others and are no reading themselves.
UNLISTED = ("404", "genindex", "search", "_modules/")


def page_path(page: str) -> str:
    """Where a page stands under the address; the first page stands at the address itself.

    >>> page_path("index"), page_path("07_adam")
    ('', '07_adam.html')
    """
    return "" if page == "index" else f"{page}.html"


def read_address(app: Sphinx, config: Config) -> None:
    """Settle the address, of the course and of this edition of it."""
    course = os.environ.get("COURSE_URL", config.html_baseurl)
    if course and not course.startswith(("https://", "http://")):
        raise ConfigError(f"the address must begin with https://, unlike {course!r} (COURSE_URL)")
    if config.language not in config.course_editions:
        raise ConfigError(f"course_editions in _config.yml has no folder for {config.language!r}")
    config.course_address = course.rstrip("/") + "/" if course else ""
    folder = config.course_editions[config.language]
    config.html_baseurl = urljoin(config.course_address, folder) if course else ""


def name_address(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """One page's own address, and the same page's in every language."""
    context["pageurl"] = None
    if not app.config.course_address or page == "404":
        return
    context["pageurl"] = app.config.html_baseurl + page_path(page)
    editions = dict(app.config.course_editions)
    editions["x-default"] = next(iter(editions.values()))
    links = "".join(
        f'<link rel="alternate" hreflang="{language}" href="{html.escape(url)}">\n'
        for language, folder in editions.items()
        for url in [app.config.course_address + folder + page_path(page)]
    )
    context["metatags"] = context.get("metatags", "") + links


def write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    """List the pages of this edition; the first edition also tells robots where the lists are."""
    if exception or not app.config.course_address or app.builder.format != "html":
        return
    pages = sorted(page for page in app.env.found_docs if not page.startswith(UNLISTED))
    urls = [html.escape(app.config.html_baseurl + page_path(page)) for page in pages]
    entries = "".join(f"<url><loc>{url}</loc></url>\n" for url in urls)
    out = Path(app.outdir)
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n',
        encoding="utf-8",
    )
    if app.config.html_baseurl == app.config.course_address:
        folders = app.config.course_editions.values()
        maps = [f"Sitemap: {app.config.course_address}{folder}sitemap.xml\n" for folder in folders]
        (out / "robots.txt").write_text("User-agent: *\nAllow: /\n" + "".join(maps))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("course_editions", {"en": ""}, "html")
    app.add_config_value("course_address", "", "html")
    app.connect("config-inited", read_address)
    app.connect("html-page-context", name_address, priority=400)  # before `head`, which reads it
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
