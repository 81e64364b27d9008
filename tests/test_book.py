"""The built site: no warning, no dead link, figures in the page and in its colours."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from companion.render.style import PALETTE

ROOT = Path(__file__).parents[1]
CSS = (ROOT / "book/_static/course.css").read_text()


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


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make book` does."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    options = ["--config", str(ROOT / "_config.yml"), "--path-output", str(target)]
    return subprocess.run(
        [*command, *options, "-W", "-n", "--keep-going", "-q"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Every page of the freshly built book, by its path in the site."""
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "book", target)
    assert done.returncode == 0, done.stdout + done.stderr
    html = target / "_build/html"
    paths = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    return {str(path.relative_to(html)): Page(path) for path in paths}


def test_every_page_is_built(site: dict[str, Page]) -> None:
    chapters = {path.stem for path in (ROOT / "book").glob("*.ipynb")}
    assert {f"{name}.html" for name in chapters | {"index"}} <= set(site)


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
    book = tmp_path / "book"
    book.mkdir()
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (book / "index.md").write_text("# Title\n\n[gone](no_such_page)\n")
    done = build(book, tmp_path)
    assert done.returncode != 0
    assert "no_such_page" in done.stdout + done.stderr


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
        if re.match(r"\d\d_", name):
            solutions = re.findall(
                r"<details>\s*<summary>Solution \d</summary>(.*?)</details>", page.text, re.S
            )
            assert len(solutions) in (2, 3)
            assert all('class="highlight-python' in solution for solution in solutions)


# Colours.


def variables(selector: str) -> dict[str, str]:
    block = re.search(rf"^{re.escape(selector)} \{{(.*?)^\}}", CSS, flags=re.M | re.S)
    assert block is not None
    return dict(re.findall(r"--course-([a-z]+): (\S+);", block.group(1)))


LIGHT = variables("html")
DARK = {**LIGHT, **variables('html[data-theme="dark"]')}


def test_the_style_sheet_knows_the_palette() -> None:
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


@pytest.mark.parametrize(("theme", "paper"), [(LIGHT, "#ffffff"), (DARK, "#121212")])
def test_contrast(theme: dict[str, str], paper: str) -> None:
    """WCAG AA: 4.5 for text, 3 for lines."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for name in ("ink", "muted", "blue", "orange", "green", "violet"):
        assert contrast(theme[name], paper) >= 4.5, name
    assert contrast(theme["ink"], theme["changed"]) >= 4.5
    assert contrast(theme["frame"], paper) >= 3
