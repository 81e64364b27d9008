"""Sphinx extension: what a search engine or a chat shows of a page.

The sentences are written by hand (`course_descriptions` in `_config.yml`): the first words of a
chapter are a question to its reader, not a description for someone who has not opened it.
"""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging

LOCALES = {"en": "en_US", "ko": "ko_KR"}  # another language is its own locale


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put description and social-card tags into one page's head."""
    description = app.config.course_descriptions.get(page)
    if description is None and page.startswith("_modules/"):
        module = page.removeprefix("_modules/").replace("/", ".")
        description = f"The source code of {module}, as the course's reference links to it."
    if description is None:
        logging.getLogger(__name__).warning(
            "%s: no description; write one under course_descriptions in _config.yml", page
        )
        return
    title = html.unescape(re.sub(r"<[^>]+>", "", context.get("title", _("Index"))))
    tags = {
        "description": description,
        "og:title": title,
        "og:description": description,
        "og:type": "website" if page == "index" else "article",
        "og:site_name": app.config.html_title,
        "og:locale": LOCALES.get(app.config.language, app.config.language),
    }
    # Both must be whole addresses, so they wait until there is one.
    if context["pageurl"]:
        tags["og:url"] = context["pageurl"]
        tags["og:image"] = app.config.html_baseurl + app.config.course_card
        tags["og:image:alt"] = app.config.course_card_alt
        tags["twitter:card"] = "summary_large_image"
    else:
        tags["twitter:card"] = "summary"
    written = "".join(
        f'<meta {"property" if name.startswith("og:") else "name"}="{name}"'
        f' content="{html.escape(content)}">\n'
        for name, content in tags.items()
    )
    context["metatags"] = context.get("metatags", "") + written


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("course_descriptions", {}, "html")
    app.add_config_value("course_card", "", "html")
    app.add_config_value("course_card_alt", "", "html")
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
