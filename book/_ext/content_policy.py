"""Sphinx extension: every page states a Content-Security-Policy that forbids what it does not need.

Scripts come from this site's own files, or are the theme's: those stand in the page itself, and
the policy names each by its digest. A script in a page's text is not named, so no browser runs it,
and the build warns. No other host is asked for anything. The digests are those of the finished
page: only there all templates have been filled in.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from companion.render.content_policy import digest, meta

CHARSET = '<meta charset="utf-8">'
STATED = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
INLINE = re.compile(r"<(script|style)\b(?![^>]*\ssrc=)[^>]*>(.*?)</\1\s*>", re.S)
TEXT = re.compile(r"<article\b.*</article>", re.S)  # to the last end: a text may hold another

# Not pages of ours: files that are handed out as they are.
ASIDE = ("_static", "_sources", "_downloads")


def with_policy(page: str) -> str:
    """A page that states its policy.

    >>> page = '<meta charset="utf-8"><script>a()</script><article><script>b()</script></article>'
    >>> stated = with_policy(page)
    >>> digest("a()") in stated, digest("b()") in stated, with_policy(stated) == stated
    (True, False, True)
    """
    page = STATED.sub("", page)
    if page.count(CHARSET) != 1:
        raise ValueError(f"a page has {page.count(CHARSET)} times {CHARSET}, not once")
    stated = meta(
        {
            "script-src": ["'self'", *_digests("script", TEXT.sub("", page))],
            # Attributes: figures are full of them. Elements, in a browser that tells the two
            # apart, are those that were there when the page was built.
            "style-src": ["'self'", "'unsafe-inline'"],
            "style-src-elem": ["'self'", *_digests("style", page)],
            "img-src": ["'self'", "data:"],  # the theme's icons stand in its style sheet
            "connect-src": ["'self'"],  # search fetches the pages it found, for an excerpt
            "form-action": ["'self'"],
            "base-uri": ["'none'"],
        }
    )
    return page.replace(CHARSET, f"{CHARSET}{stated}")


def _digests(kind: str, page: str) -> list[str]:
    return list(dict.fromkeys(digest(text) for name, text in INLINE.findall(page) if name == kind))


def refuse(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say which page has a script in its text."""
    if any(name == "script" for name, _ in INLINE.findall(context.get("body") or "")):
        logging.getLogger(__name__).warning(
            "%s: a script in the text, which no browser will run; put it into a file of _static",
            page,
        )


def state(app: Sphinx, exception: Exception | None) -> None:
    """Put the policy into every written page; the one of an earlier build is renewed."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for path in sorted(out.rglob("*.html")):
        if path.relative_to(out).parts[0] not in ASIDE:
            before = path.read_text(encoding="utf-8")
            after = with_policy(before)
            if after != before:
                path.write_text(after, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", refuse)
    app.connect("build-finished", state, priority=900)  # no one changes a page after that
    return {"parallel_read_safe": True, "parallel_write_safe": True}
