"""Sphinx extension: the notebooks' SVG figures stand in the page itself, in the page's colours.

As a separate image a figure keeps its white paper on a dark page, and its text can be neither
searched nor read aloud. In the page, each colour of the course's palette becomes a CSS variable,
which the theme's options in `_config.yml` set for light and for dark.
"""

from __future__ import annotations

import hashlib
import html
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from companion.course.style import PALETTE

# Pixels for each point of a figure: its text is drawn at 10 points. One that can be seen whole on
# a phone, 5 inches wide, is; a wider one scrolls there, and its text need not be as small.
PHONE = 375
NARROW, SCROLLING, WIDEST = 0.95, 1.1, 1.5


def inline(svg: str, alt: str) -> str:
    """An SVG document of matplotlib's as an HTML fragment.

    Args:
        svg: The document.
        alt: What the figure shows, in words, for those who cannot see it.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.S)  # style: it would be global
    for name, colour in PALETTE.items():
        svg = re.sub(colour, f"var(--course-{name})", svg, flags=re.I)
    svg = _lean(_own_ids(svg))
    label = html.escape(alt, quote=True)
    width = _width(svg)
    narrowest = width * (NARROW if width <= PHONE else SCROLLING)
    style = f"min-width: {narrowest:.0f}px; max-width: {width * WIDEST:.0f}px"
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}" style="{style}"', 1)
    return f'<div class="course-figure">{svg}</div>'


def _width(svg: str) -> float:
    """In points, as drawn."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    if found is None:
        raise ValueError("a figure without a viewBox: it is not one of matplotlib's")
    return float(found[1])


def _lean(svg: str) -> str:
    """A third of the size, the same picture: a tenth of a point is not seen, nor is indentation."""
    svg = re.sub(r'(?<=\s)(?:d|x|y)="[^"]*"', _rounded, svg)
    svg = re.sub(r"font-family: [^;\"]+;? ?", "", svg)  # the page's own, in course.css
    svg = re.sub(
        r'<defs>\s*</defs>|<!--.*?-->| transform="rotate\(-0 [^)]*\)"', "", svg, flags=re.S
    )
    svg = re.sub(r">\s+<", "><", svg).replace("xlink:href", "href")
    # Markers of one line say their style once.
    markers = r'<use [^>]*?( style="[^"]*")/>(?:<use [^>]*?\1/>)+'
    return re.sub(markers, lambda run: f"<g{run[1]}>{run[0].replace(run[1], '')}</g>", svg)


def _rounded(place: re.Match[str]) -> str:
    """Coordinates to a tenth of a point; pairs after M or L are lines without saying so."""
    short = re.sub(r"\d+\.\d\d+", lambda x: f"{float(x[0]):.1f}".removesuffix(".0"), place[0])
    return re.sub(r"\s+(?:L )?", " ", short)


def _own_ids(svg: str) -> str:
    """Ids are one space for the whole page: drop those nothing refers to, and mark the others."""
    mark = hashlib.sha256(svg.encode()).hexdigest()[:8]
    own = set(re.findall(r'\bid="([^"]+)"', svg))
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))

    def marked(place: re.Match[str]) -> str:
        before, name = place.groups()
        if name not in own:
            return place[0]
        return f"{before}{name}-{mark}" if name in referred else ""

    svg = re.sub(r'(\s*\bid=")([^"]+)"', lambda place: (new := marked(place)) and f'{new}"', svg)
    return re.sub(r'(href="#|url\(#)([^")]+)(?=["\)])', marked, svg)


def replace_images(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the figures of one page into it. Every figure must say in words what it shows."""
    if app.builder.format != "html":
        return
    for image in list(doctree.findall(nodes.image)):
        if not image["uri"].endswith(".svg"):
            continue
        if not image.get("alt"):
            raise ValueError(
                f"{docname}: a figure has no alt text (cell metadata mystnb.image.alt)"
            )
        svg = (Path(app.srcdir) / image["uri"]).read_text(encoding="utf-8")
        image.replace_self(nodes.raw("", inline(svg, image["alt"]), format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", replace_images)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
