"""The built site: no warning, no dead link, figures in the page and in its colours."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

from companion.course.style import PALETTE
from tests import CHAPTERS, NAMES, NOTEBOOKS, ROOT
from tests.pages.building import build, small_book
from tests.project.addressed import SITE

THEME = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["html_theme_options"]


class Page(HTMLParser):
    """Ids, links and sources of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids[value] += 1
            elif name in ("href", "src", "xlink:href") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(book: Path) -> dict[str, Page]:
    """Every page of the freshly built book, by its path in the site."""
    return read(book)


def read(html: Path) -> dict[str, Page]:
    paths = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    return {str(path.relative_to(html)): Page(path) for path in paths}


def test_internal_links_and_images_resolve(site: dict[str, Page]) -> None:
    checked = 0
    for page in site.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            assert target.exists(), f"{page.path.name}: {link}"
            if parts.fragment and target.suffix == ".html":
                ids = next(p for p in site.values() if p.path == target).ids
                assert unquote(parts.fragment) in ids, f"{page.path.name}: {link}"
            checked += 1
    assert checked > 100


def test_a_dead_link_breaks_the_build(tmp_path: Path) -> None:
    """The check above and the build can fail."""
    book = small_book(tmp_path, "[gone](no_such_page)\n")
    done = build(book, tmp_path)
    assert done.code != 0
    assert "no_such_page" in done.out + done.err


def figures(page: Page) -> list[str]:
    return re.findall(r'<div class="course-figure".*?</svg></div>', page.text, flags=re.S)


def test_figures_stand_in_the_page(site: dict[str, Page]) -> None:
    found = 0
    for page in site.values():
        assert not re.search(r'<img[^>]*src="_images/[^"]*\.svg', page.text)
        for figure in figures(page):
            found += 1
            assert re.search(r'aria-label="[^"]{40,}"', figure)
            assert "<style" not in figure
            assert "<metadata" not in figure
    assert found >= 6


def test_a_figure_says_what_its_notebook_says(site: dict[str, Page]) -> None:
    """To the letter: a page may round where a line is drawn, not what is written."""
    compared = 0
    for path in CHAPTERS:
        cells = nbformat.read(path, as_version=4).cells
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        drawn = [o.data["image/svg+xml"] for o in outputs if "image/svg+xml" in o.get("data", {})]
        shown = figures(site[f"{path.stem}.html"])
        assert len(shown) == len(drawn)
        for own, stored in zip(shown, drawn, strict=True):
            assert written(own) == written(stored) != []
            compared += len(written(own))
    assert compared > 200


def written(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", svg, flags=re.S)


def test_figures_have_no_colour_of_their_own(site: dict[str, Page]) -> None:
    for page in site.values():
        for figure in figures(page):
            assert re.findall(r"[:\"]\s*#[0-9a-fA-F]{3,8}\b", figure) == []
            assert "var(--course-" in figure or "<image" in figure


def test_ids_are_unique_and_references_resolve(site: dict[str, Page]) -> None:
    for page in site.values():
        if not figures(page):
            continue
        inside = Counter(i for f in figures(page) for i in re.findall(r'\bid="([^"]+)"', f))
        for name in inside:
            assert page.ids[name] == 1, f"{page.path.name}: id {name}"
        for figure in figures(page):
            for name in re.findall(r'(?:href="#|url\(#)([^")]+)', figure):
                assert page.ids[name] == 1, f"{page.path.name}: reference to {name}"


def test_solutions_are_hidden_until_asked_for(site: dict[str, Page]) -> None:
    for name, page in site.items():
        if name.removesuffix(".html") in NAMES:
            solutions = re.findall(
                r"<details>\s*<summary>Solution \d</summary>(.*?)</details>", page.text, re.S
            )
            assert len(solutions) in (3, 4, 5)
            assert all('class="highlight-python' in solution for solution in solutions)


# Colours.


def variables(scheme: str) -> dict[str, str]:
    """The palette of figures as the theme is told it."""
    own = THEME[f"{scheme}_css_variables"]
    return {k.removeprefix("course-"): v for k, v in own.items() if k.startswith("course-")}


LIGHT = variables("light")
DARK = {**LIGHT, **variables("dark")}


def test_the_theme_knows_the_palette() -> None:
    assert set(LIGHT) == set(DARK) == set(PALETTE)
    assert {k: v for k, v in LIGHT.items() if k != "paper"} == {
        k: v for k, v in PALETTE.items() if k != "paper"
    }


def luminance(colour: str) -> float:
    """Relative luminance, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "paper"), [(LIGHT, "#ffffff"), (DARK, "#131416")])
def test_contrast(theme: dict[str, str], paper: str) -> None:
    """WCAG AA: 4.5 for text, 3 for lines."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for name in ("ink", "muted", "blue", "orange", "green", "violet"):
        assert contrast(theme[name], paper) >= 4.5, name
    assert contrast(theme["ink"], theme["changed"]) >= 4.5
    assert contrast(theme["frame"], paper) >= 3


# Players.


def test_the_players_of_a_page_share_script_and_style(site: dict[str, Page]) -> None:
    for name, page in site.items():
        players = page.text.count('<div class="routine-player ')
        assert page.text.count('<script src="_static/player.js"></script>') == players, name
        assert page.links.count("_static/player.js") == players
        assert any("player.css" in link for link in page.links) == bool(players), name
        assert ".rp-app {" not in page.text
    galleries = (page.text for name, page in site.items() if name.startswith(("12_", "13_")))
    assert "".join(galleries).count('Explained in: <a href="') >= 10


# What a page says of itself.


def meta(page: Page) -> dict[str, str]:
    found = re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', page.text)
    return dict(found)


def test_each_page_has_its_own_description(site: dict[str, Page]) -> None:
    descriptions = []
    for name, page in site.items():
        said = meta(page)
        assert 40 <= len(said["description"]) <= 200, name
        assert said["og:description"] == said["description"]
        assert said["og:title"]
        assert said["og:locale"] == "en_US"
        assert '<html class="no-js" lang="en"' in page.text
        assert any("favicon.svg" in link for link in page.links)
        descriptions.append(said["description"])
    assert len(set(descriptions)) == len(descriptions)


def test_without_an_address_no_page_names_one(site: dict[str, Page], book: Path) -> None:
    for page in site.values():
        assert not {"og:url", "og:image"} & set(meta(page))
        assert 'rel="canonical"' not in page.text
        assert "hreflang" not in page.text
    assert not (book / "sitemap.xml").exists()
    assert not (book / "robots.txt").exists()


def test_with_an_address_every_page_does(published: Path) -> None:
    pages = read(published)
    for name, page in pages.items():
        if name == "404.html":
            continue
        own = SITE + ("" if name == "index.html" else name)
        assert meta(page)["og:url"] == own
        assert meta(page)["og:image"] == f"{SITE}_static/card.png"
        assert f'<link rel="canonical" href="{own}"' in page.text
        for language in ("en", "x-default"):
            assert f'hreflang="{language}" href="{own}"' in page.text
    assert (published / "_static/card.png").read_bytes()[1:4] == b"PNG"


def test_sitemap_and_robots(published: Path) -> None:
    text = (published / "sitemap.xml").read_text(encoding="utf-8")
    listed = re.findall(r"<loc>(.*?)</loc>", text)
    wanted = {
        SITE,
        *(f"{SITE}{name}.html" for name in [*NOTEBOOKS, "symptoms", "rules", "glossary", "api"]),
    }
    assert sorted(wanted) == sorted(listed)
    assert f"Sitemap: {SITE}sitemap.xml" in (published / "robots.txt").read_text()


def test_the_404_page_works_at_any_depth(published: Path) -> None:
    page = Page(published / "404.html")
    for link in page.links:
        assert re.match(r"#|/course/|[a-z]+:", link), link
        if link.startswith("/course/"):
            target = published / unquote(urlsplit(link).path.removeprefix("/course/"))
            assert target.exists(), link


# Formulas.


def test_a_formula_is_mathml_and_loads_nothing(tmp_path: Path) -> None:
    book = small_book(
        tmp_path, "Inline $p - \\eta g$, and\n\n$$b_t = \\mu b_{t-1} + g_t$$ (rule)\n"
    )
    build(book, tmp_path).well()
    text = (tmp_path / "_build/html/index.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<math\b", text)) == 2
    assert 'display="block"' in text
    assert "mathjax" not in text.lower()


def test_a_wrong_formula_breaks_the_build(tmp_path: Path) -> None:
    done = build(small_book(tmp_path, "Inline $\\nosuchthing{x}$.\n"), tmp_path)
    assert done.code != 0
    assert "nosuchthing" in done.out + done.err


def test_a_script_to_take_along_is_there_without_a_network(site: dict[str, Page]) -> None:
    page = site["08_a_whole_script.html"]
    links = {link for link in page.links if link.endswith("/train_digits.py")}
    assert len(links) == 1
    there = page.path.parent / links.pop()
    assert there.read_bytes() == (ROOT / "book/train_digits.py").read_bytes()
