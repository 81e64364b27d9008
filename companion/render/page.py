"""A page around a fragment that plays or is operated, which any browser opens, offline too."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from companion.render.content_policy import digest, meta
from companion.render.finding import shown

STYLE = """
html { background: Canvas; color: CanvasText; font-family: system-ui, sans-serif }
body { margin: 1rem auto; max-width: 70rem; padding: 0 1rem }
h1, blockquote, code { overflow-wrap: anywhere }
blockquote { margin: 0 0 1.5rem; border-left: 4px solid #9a6700; padding-left: 0.6rem }
blockquote p { margin: 0 0 0.3rem }
pre { margin: 0.3rem 0; white-space: pre-wrap }
@media (scripting: none) { .rp.rp .rp-wide { max-height: none } }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{policy}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{fragment}</main>
</body>
</html>
"""


def page(title: str, fragment: str, assets: Sequence[Path]) -> str:
    """A whole page around a fragment, or several.

    Its Content-Security-Policy lets a browser run these scripts and nothing else, and asks no one
    for anything.

    Args:
        title: Its title and its heading.
        fragment: HTML that brings the assets, each as `asset` gives it.
        assets: The scripts (.js) and style sheets (.css) of the fragment.
    """
    texts = {path: digest(asset(path)) for path in assets}
    policy = meta(
        {
            "script-src": [text for path, text in texts.items() if path.suffix == ".js"],
            "style-src": ["'unsafe-inline'"],  # of elements only these, where that is known
            "style-src-elem": [
                digest(STYLE),
                *(text for path, text in texts.items() if path.suffix == ".css"),
            ],
            "form-action": ["'none'"],
            "base-uri": ["'none'"],
        }
    )
    return PAGE.format(policy=policy, style=STYLE, title=shown(title), fragment=fragment)


@functools.cache
def asset(path: Path) -> str:
    """A script or a style sheet on one line, without comments: a notebook stores it with each.

    Every statement of a script ends with its own semicolon, and no string holds two slashes.
    """
    text = path.read_text(encoding="utf-8")
    lines = [re.sub(r"(^|\s)(// |/\* ).*", "", line).strip() for line in text.splitlines()]
    whole = " ".join(line for line in lines if line)
    if path.suffix == ".css":
        whole = re.sub(r"\s*([{};])\s*", r"\1", whole)
        whole = re.sub(r"([:,]) ", r"\1", whole)
    return whole
