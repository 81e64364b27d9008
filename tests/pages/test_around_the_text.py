"""What stands around the text of every page of the built book, and what a page loads.

What needs a browser to be seen is in `test_pages.py`.
"""

from __future__ import annotations

import gzip
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from sphinx.errors import ConfigError

from tests import NAMES, NOTEBOOKS, ROOT
from tools.serving import pages

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]

# Of a page and its parts; a picture and what a player plays weigh what they weigh.
PLAIN, GZIPPED = 450_000, 150_000

EVERYWHERE = {
    "pygments.css",
    "furo.css",
    "copybutton.css",
    "course.css",
    "drawers_and_paper.css",
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "furo.js",
    "clipboard.min.js",
    "copybutton.js",
    "course.js",
}
BESIDES = {
    "search.html": {"searchtools.js", "language_data.js", "searchindex.js"},
    **{f"{name}.html": {"player.css", "player.js"} for name in NAMES},
    "02_parameters_and_grad.html": {"operate.css", "weight.js"},
    "06_sgd_in_full.html": {"operate.css", "valley.js"},
    "07_adam.html": {"operate.css", "valley.js"},
}


@pytest.fixture(scope="module")
def site(book: Path) -> dict[str, BeautifulSoup]:
    """Every page of the freshly built book, by its path in the site."""
    return {
        name: BeautifulSoup((book / name).read_text(encoding="utf-8"), "html.parser")
        for name in pages(book)
    }


def loaded(page: BeautifulSoup) -> set[str]:
    """The style sheets and scripts that a page asks for."""
    sheets = {str(link["href"]) for link in page.select("link[rel=stylesheet]")}
    return sheets | {str(script["src"]) for script in page.select("script[src]")}


def test_a_page_loads_what_it_uses(site: dict[str, BeautifulSoup]) -> None:
    for name, page in site.items():
        names = {urlsplit(url).path.rpartition("/")[2] for url in loaded(page)}
        assert names >= EVERYWHERE, name
        assert names <= EVERYWHERE | BESIDES.get(name, set()), name


def test_every_page_is_light(site: dict[str, BeautifulSoup], book: Path) -> None:
    for name, page in site.items():
        text = re.sub(r"<svg.*?</svg>", "", (book / name).read_text(encoding="utf-8"), flags=re.S)
        folder = (book / name).parent
        parts = [text.encode(), *((folder / urlsplit(u).path).read_bytes() for u in loaded(page))]
        assert sum(map(len, parts)) <= PLAIN, name
        assert sum(len(gzip.compress(part)) for part in parts) <= GZIPPED, name


def test_plain_code_has_no_marks(site: dict[str, BeautifulSoup], book: Path) -> None:
    for name, page in site.items():
        assert page.select("pre span.n, pre span.p, pre span.w") == [], name
    assert site["01_training_routine.html"].select("pre span.kn")
    assert "/*" not in (book / "_static/pygments.css").read_text()


def test_ids_are_unique(site: dict[str, BeautifulSoup]) -> None:
    for name, page in site.items():
        ids = [str(element["id"]) for element in page.select("[id]")]
        assert {i for i in ids if ids.count(i) > 1} == set(), name


def test_each_page_is_described_by_hand_and_nothing_else_is(site: dict[str, BeautifulSoup]) -> None:
    described = {f"{name}.html" for name in CONFIG["course_descriptions"]}
    assert described == {name for name in site if not name.startswith("_modules/")}


def test_head(site: dict[str, BeautifulSoup], book: Path) -> None:
    for name, page in site.items():
        assert len(page.select("meta[name=viewport]")) == 1, name
        assert page.select("meta[name=robots]") == [], name
        (icon,) = page.select('link[rel~="icon"]')
        ElementTree.parse((book / name).parent / str(icon["href"]))


def test_a_chapter_hands_out_its_notebook(site: dict[str, BeautifulSoup], book: Path) -> None:
    for name, page in site.items():
        links = page.select("a[download]:not([href^='_downloads/'])")  # what the text offers
        assert len(links) == (name.removesuffix(".html") in NOTEBOOKS), name
        for link in links:
            assert link["download"] == name.replace(".html", ".ipynb")
            taken = (book / str(link["href"])).read_bytes()
            assert taken == (ROOT / "book" / str(link["download"])).read_bytes()


def test_a_search_field_and_both_licences(site: dict[str, BeautifulSoup]) -> None:
    for name, page in site.items():
        # The page of the search has one of its own too, for a narrow screen's folded drawer.
        fields = 2 if name == "search.html" else 1
        assert len(page.select("input[name=q]")) == fields, name
        (licence,) = page.select("footer .licence")
        assert "CC BY 4.0" in licence.text, name
        assert "MIT" in licence.text, name


def test_the_keyboard_meets_the_drawers_after_the_link_that_skips_them(
    site: dict[str, BeautifulSoup],
) -> None:
    for name, page in site.items():
        skip, *switches = page.select("a, button, input")[:3]
        assert page.select_one(str(skip["href"])) is not None, name
        assert [switch["id"] for switch in switches] == ["__navigation", "__toc"], name
        assert all(switch["aria-label"] for switch in switches), name
        assert all(switch.find_parent("nav") for switch in switches), name
        assert len(page.select(".sidebar-toggle")) == 2, name
        for heading in page.select("[role=heading]"):
            assert heading["aria-level"] == "2", name


def test_from_chapter_to_chapter(site: dict[str, BeautifulSoup]) -> None:
    for before, after in pairwise(NAMES):
        (onwards,) = site[f"{before}.html"].select("a.next-page")
        (back,) = site[f"{after}.html"].select("a.prev-page")
        assert (onwards["href"], back["href"]) == (f"{after}.html", f"{before}.html")


def test_colours_follow_the_reader_with_and_without_scripts(
    site: dict[str, BeautifulSoup],
) -> None:
    """The dark ones stand twice: for who chose them here, and for who has them everywhere."""
    style = site["06_sgd_in_full.html"].select("head style")[0].text
    for name, colour in CONFIG["html_theme_options"]["dark_css_variables"].items():
        assert style.count(f"--{name}: {colour};") == 2
    for where in ('body[data-theme="dark"]', 'body:not([data-theme="light"])', "not print"):
        assert where in style


# What an extension refuses.


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the book is built."""
    monkeypatch.syspath_prepend(ROOT / "book/_ext")


@pytest.mark.parametrize(
    "wrong", [r"\frac{1", "x^", "a_b_c", r"\nosuchthing x", "a & b", r"\left( x", ""]
)
@pytest.mark.usefixtures("extensions")
def test_wrong_formulas(wrong: str) -> None:
    from mathml import mathml

    with pytest.raises(ValueError, match=r"known|braces|Error"):
        mathml(wrong)


@pytest.mark.usefixtures("extensions")
def test_formulas_of_several_lines() -> None:
    from mathml import mathml

    lines = mathml(r"\begin{aligned} b &= \mu b + g \\ p &= p - \eta b \end{aligned}", "block")
    assert len(ElementTree.fromstring(lines).findall(".//mtr")) == 2


@pytest.mark.parametrize(
    ("address", "language", "complaint"),
    [("example.org", "en", "https://.*'example.org'"), ("https://x.org", "fr", "'fr'")],
)
@pytest.mark.usefixtures("extensions")
def test_addresses_that_are_none(
    address: str, language: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from canonical import read_address

    monkeypatch.setenv("COURSE_URL", address)
    app: Any = None
    config: Any = SimpleNamespace(html_baseurl="", language=language, course_editions={"en": ""})
    with pytest.raises(ConfigError, match=complaint):
        read_address(app, config)


@pytest.mark.usefixtures("extensions")
def test_an_empty_address_goes_before_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from canonical import read_address

    app: Any = None
    for told, expected in {"": "", "https://y.org": "https://y.org/"}.items():
        monkeypatch.setenv("COURSE_URL", told)
        config: Any = SimpleNamespace(
            html_baseurl="https://x.org/", language="en", course_editions={"en": ""}
        )
        read_address(app, config)
        assert config.html_baseurl == config.course_address == expected


@pytest.mark.parametrize(("language", "locale"), [("en", "en_US"), ("ko", "ko_KR"), ("fr", "fr")])
@pytest.mark.usefixtures("extensions")
def test_every_language_has_a_locale(language: str, locale: str) -> None:
    from descriptions import describe

    settings = {"course_descriptions": {"index": "About."}, "html_title": "The course"}
    app: Any = SimpleNamespace(config=SimpleNamespace(language=language, **settings))
    context: dict[str, Any] = {"title": "A title", "pageurl": None}
    describe(app, "index", "page.html", context, None)
    assert f'<meta property="og:locale" content="{locale}">' in context["metatags"]


@pytest.mark.parametrize("address", ["https://x.org/course", "https://x.org/course/"])
@pytest.mark.usefixtures("extensions")
def test_an_edition_has_its_folder(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from canonical import read_address

    monkeypatch.setenv("COURSE_URL", address)
    editions = {"en": "", "ko": "ko/"}
    app: Any = None
    config: Any = SimpleNamespace(html_baseurl="", language="ko", course_editions=editions)
    read_address(app, config)
    assert config.course_address == "https://x.org/course/"
    assert config.html_baseurl == "https://x.org/course/ko/"
