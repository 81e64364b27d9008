"""The course to take along: one PDF for paper, and a zip of the site that opens from disk.

Daily a few pages of the site are printed, by the command; all of them are printed weekly, for the
same tests. What can be seen in it is asked of the PDF; how wide things are is measured in the
document that is printed, of all pages, at the width of the paper.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page
from pypdf import PageObject, PdfReader
from pypdf.generic import Destination
from pypdfium2 import PdfDocument

from tests import CHAPTERS, NUMBERED, ROOT
from tests.package.running import Ran, python
from tests.pages.browser import (
    PHONE,
    problems_foreign,
    problems_offline,
    problems_said,
    read_pages,
    tour,
)
from tools import serving
from tools.chromium import HOW_TO_GET_IT
from tools.paper.one_document import document
from tools.paper.pdf import WIDTH, opened

TOC = yaml.safe_load((ROOT / "book/_toc.yml").read_text(encoding="utf-8"))
ORDER = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
TITLE = "The PyTorch Training Routine"
MM = 72 / 25.4

# Of every kind of page one: figures, formulas and what is operated; players that lead to sections,
# and errors; the reference.
FEW = ["06_sgd_in_full", "12_gradients_that_go_wrong", "api"]
TITLES = {
    "symptoms": "What you see, and where to look",
    "rules": "What the diagnosis knows",
    "then_and_now": "Then and now",
    "glossary": "Glossary",
    "api": "The package companion",
}


def run(tool: str, *arguments: str | Path, **variables: str) -> Ran:
    return python(ROOT, str(ROOT / "tools" / tool), *map(str, arguments), variables=variables)


@dataclass(frozen=True)
class Paper:
    """The printed course: whence, its pages, what stands on each, and its bookmarks."""

    site: Path
    names: list[str]
    reader: PdfReader
    texts: list[str]
    bookmarks: list[tuple[int, Destination]]

    @property
    def chapters(self) -> list[Path]:
        return [path for path in CHAPTERS if path.stem in self.names]

    def page_of(self, destination: Destination) -> int:
        """The number of a page, from 1, as it is printed at its foot."""
        number = self.reader.get_destination_page_number(destination)
        assert number is not None, destination
        return number + 1

    def links(self, page: PageObject) -> list[int | str]:
        """Where the links of a page lead, in order: to a page, or to an address outside."""
        found: list[int | str] = []
        for reference in page.get("/Annots", []):
            annotation = reference.get_object()
            if annotation["/Subtype"] != "/Link":
                continue
            action = annotation.get("/A", {})
            if "/URI" in action:
                found.append(str(action["/URI"]))
            else:
                name = str(annotation.get("/Dest", action.get("/D")))
                found.append(self.page_of(self.reader.named_destinations[name]))
        return found


@pytest.fixture(scope="module")
def excerpt(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with few pages in its list of pages, which says what is printed."""
    site = tmp_path_factory.mktemp("excerpt") / "site"
    shutil.copytree(book, site)
    front = soup(site / "index.html")
    for link in front.select(".sidebar-tree a"):
        if Path(str(link["href"])).stem not in FEW:
            link.decompose()
    (site / "index.html").write_text(str(front), encoding="utf-8")
    return site


WEEKLY = pytest.param(ORDER, marks=pytest.mark.weekly, id="all")  # the printer is seen daily, too


@pytest.fixture(scope="module", params=[pytest.param(FEW, id="few"), WEEKLY])
def paper(
    browser: Browser,
    book: Path,
    excerpt: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Paper:
    """Without a browser nothing is built."""
    output = tmp_path_factory.mktemp("paper") / "course.pdf"
    names: list[str] = request.param
    site = excerpt if names == FEW else book
    run("paper/pdf.py", "--site", site, "--output", output).well()
    reader = PdfReader(output)
    return Paper(site, names, reader, texts(output), list(flat(reader, reader.outline)))


def texts(paper: Path) -> list[str]:
    """What stands on each page, read by Chromium's own PDFium in a thirtieth of pypdf's time."""
    with PdfDocument(paper) as document:
        return [page.get_textpage().get_text_bounded() for page in document]


def flat(
    reader: PdfReader, outline: list[Any], depth: int = 0
) -> Iterator[tuple[int, Destination]]:
    for entry in outline:
        if isinstance(entry, list):
            yield from flat(reader, entry, depth + 1)
        else:
            yield depth, entry


def squeezed(text: str) -> str:
    """Without the blanks, which a PDF does not keep."""
    return re.sub(r"\s+", "", text)


def test_a_document_of_its_own(paper: Paper) -> None:
    meta = paper.reader.metadata
    assert meta is not None
    assert meta.title == TITLE
    assert meta.author == "The PyTorch Training Routine maintainers"
    assert meta.creation_date is None
    root = paper.reader.root_object
    assert str(root["/Lang"]) == "en"
    assert "/StructTreeRoot" in root  # what a screen reader follows
    assert 4 < len(paper.texts) / len(paper.names) < 27
    for page in paper.reader.pages:
        assert [round(side / MM) for side in page.mediabox[2:]] == [210, 297]


def test_every_page_says_its_number(paper: Paper) -> None:
    assert squeezed(paper.texts[0]).startswith(squeezed(TITLE))
    for number, text in enumerate(paper.texts[1:], 2):
        assert str(number) in (text.split()[0], text.split()[-1]), text


def test_bookmarks_lead_to_their_headings(paper: Paper) -> None:
    chapters = [bookmark for depth, bookmark in paper.bookmarks if depth == 0]
    expected = [TITLE, *map(title_of, paper.names)]
    assert [str(chapter.title) for chapter in chapters] == expected
    assert len(paper.bookmarks) > 6 * len(paper.names)
    pages = [paper.site / f"{name}.html" for name in ["index", *paper.names]]
    titles = {title for page in pages for title in headings_of(page)}
    for _, bookmark in paper.bookmarks:
        title = str(bookmark.title)
        assert title == "Contents" or title in titles
        assert squeezed(title) in squeezed(paper.texts[paper.page_of(bookmark) - 1])


def title_of(name: str) -> str:
    if name in TITLES:
        return TITLES[name]
    title = headings(ROOT / "book" / f"{name}.ipynb")[0]
    return f"{ORDER.index(name) + 1}. {title}" if name in NUMBERED else title


def headings_of(page: Path) -> list[str]:
    """Of a built page."""
    found = soup(page).select("article :is(h1, h2, h3)")
    return [heading.get_text().removesuffix("¶") for heading in found]


def headings(path: Path) -> list[str]:
    """Title and sections of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"^##? (.*)$", text, flags=re.M)


def test_no_heading_ends_a_page(paper: Paper) -> None:
    """Something of what it heads stands below it."""
    alone = []
    for _, bookmark in paper.bookmarks:
        text = squeezed(paper.texts[paper.page_of(bookmark) - 1])
        title = squeezed(str(bookmark.title))
        below = text.partition(title)[2].removesuffix(str(paper.page_of(bookmark)))
        if not below:
            alone.append(str(bookmark.title))
    assert alone == []


def test_the_contents_name_the_pages_they_lead_to(paper: Paper) -> None:
    named: list[tuple[str, int]] = []
    led: list[int | str] = []
    for number in contents(paper):
        lines = paper.reader.pages[number - 1].extract_text().splitlines()  # with the blanks
        matches = [re.fullmatch(r"(.*\D)\s*(\d+)", line.strip()) for line in lines]
        named += [(match[1].strip(), int(match[2])) for match in matches if match]
        led += paper.links(paper.reader.pages[number - 1])
    assert [page for _, page in named] == led
    sections = [text for path in paper.chapters for text in headings(path)]
    assert len(named) > len(paper.names) + len(sections) * 2 // 3
    for title, page in named:
        assert squeezed(title) in squeezed(paper.texts[page - 1])
    titles = [squeezed(title) for title, _ in named]
    for path in paper.chapters:
        for section in headings(path)[1:]:
            assert squeezed(section.replace("`", "")) in titles


def contents(paper: Paper) -> range:
    """The pages of the table of contents."""
    starts = [paper.page_of(bookmark) for _, bookmark in paper.bookmarks]
    first = next(paper.page_of(b) for _, b in paper.bookmarks if b.title == "Contents")
    return range(first, min(page for page in starts if page > first))


def test_links_lead_inside_and_outside(paper: Paper) -> None:
    found = [link for page in paper.reader.pages for link in paper.links(page)]
    inside = [link for link in found if isinstance(link, int)]
    outside = {link for link in found if isinstance(link, str)}
    assert len(inside) > 12 * len(paper.names)
    wanted = {
        str(link["href"])
        for name in ["index", *paper.names]
        for link in soup(paper.site / f"{name}.html").select("article a.external[href]")
    }
    assert len(wanted) > len(paper.names)
    assert wanted <= outside
    assert all(address.startswith("https://") for address in outside)


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_every_line_of_code_is_whole(paper: Paper) -> None:
    """A line of a cell is a line on paper, also the longest."""
    lines = {squeezed(line) for text in paper.texts for line in text.splitlines()}
    hidden = {"remove-input", "remove-cell", "hide-input"}
    for path in paper.chapters:
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        code = [
            line
            for cell in cells
            if not hidden & set(cell.metadata.get("tags", []))
            for line in cell.source.splitlines()
        ]
        assert len(code) > 30, path.stem
        missing = [line for line in code if line.strip() and squeezed(line) not in lines]
        assert missing == [], path.stem


def test_every_output_and_every_solution_is_there(paper: Paper) -> None:
    whole = re.sub(r"\s+", "", "".join(paper.texts))
    seen = 0
    for path in paper.chapters:
        page = soup(paper.site / f"{path.stem}.html")
        for element in page.select(
            "details:not(.on-this-page) > summary, details pre, .rp-line"
            ", .cell_output pre:not(.where-narrow *)"
        ):
            for line in element.get_text().splitlines():
                seen += 1
                assert squeezed(line)[:60] in whole, f"{path.stem}: {line}"
        solutions = page.find_all("summary", string=re.compile("Solution"))
        assert len(solutions) >= 2
    assert seen > 300


def test_nothing_that_paper_cannot_do(paper: Paper) -> None:
    text = " ".join(paper.texts)
    for useless in ("Download notebook", "Back to top", "On this page", "¶"):
        assert useless not in text, useless
    assert text.count("[source]") <= 1  # the reference speaks of it once; the links are gone


# Leaves the code with the longest line where it stands, and nothing else.
ONE_BLOCK = """() => {
    const longest = pre => Math.max(...pre.innerText.split("\\n").map(line => line.length));
    const blocks = [...document.querySelectorAll("pre")].map(pre => [longest(pre), pre]);
    let left = blocks.reduce((a, b) => a[0] < b[0] ? b : a)[1];
    for (; left !== document.body; left = left.parentElement) {
        for (const other of [...left.parentElement.children]) if (other !== left) other.remove();
    }
}"""


def test_nothing_is_wider_than_the_paper(browser: Browser, book: Path) -> None:
    """Chromium would set everything smaller to make it fit: also that is seen."""
    with opened(book, browser) as page:
        assert problems_wide(page) == []
        page.evaluate(ONE_BLOCK)
        assert problems_wide(page) == []
        page.add_style_tag(content="pre {white-space: pre !important; font-size: 9pt !important}")
        assert problems_wide(page) != []


def problems_wide(page: Page) -> list[str]:
    """Text and pictures that stick out of the text area, and pictures higher than it."""
    found: list[str] = page.evaluate(
        """([width, height]) => {
            const wide = document.documentElement.scrollWidth;
            const problems = wide > width ? [`all of it is ${wide} wide`] : [];
            const look = (box, what) => {
                if (box.left < -1 || box.right > width + 1) {
                    problems.push(`${Math.round(box.left)} to ${Math.round(box.right)}: ${what}`);
                }
            };
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const text = walker.currentNode;
                if (!text.data.trim() || text.parentElement.closest("math, svg")) continue;
                const range = document.createRange();
                range.selectNodeContents(text);
                for (const box of range.getClientRects()) look(box, text.data.slice(0, 80));
            }
            const drawn = ":not(svg) > svg, math, img, table, pre";
            for (const element of document.querySelectorAll(drawn)) {
                const box = element.getBoundingClientRect();
                look(box, element.outerHTML.slice(0, 80));
                if (box.height > height && element.matches("svg, img")) {
                    problems.push(`${box.height} high: ${element.outerHTML.slice(0, 80)}`);
                }
            }
            return problems;
        }""",
        [WIDTH, 259 * MM * 96 / 72],
    )
    return found


def test_nothing_was_made_smaller(paper: Paper) -> None:
    """Where something is too wide, Chromium shrinks every page; the text has 9.5 points."""
    sizes: Counter[float] = Counter()

    def measure(text: str, cm: list[float], tm: list[float], font: object, size: float) -> None:
        sizes[round(size * abs(tm[3] * cm[3]), 1)] += len(text.strip())

    for page in paper.reader.pages[10:20]:
        page.extract_text(visitor_text=measure)
    assert sizes[9.5] > 3000, sizes


def test_the_same_site_gives_the_same_document(excerpt: Path) -> None:
    """What is printed; that it prints alike is seen weekly. Another process hashes otherwise."""
    code = (
        "import sys; from pathlib import Path; from tools.paper.one_document import document; "
        "sys.stdout.write(document(Path(sys.argv[1])))"
    )
    ran = python(ROOT, "-c", code, str(excerpt), variables={"PYTHONHASHSEED": "7"})
    assert ran.out == document(excerpt), ran.err


@pytest.mark.weekly  # prints once more; daily stands above
def test_the_same_site_gives_the_same_paper(paper: Paper, tmp_path: Path) -> None:
    output = tmp_path / "course.pdf"
    run("paper/pdf.py", "--site", paper.site, "--output", output).well()
    again = PdfReader(output)
    assert texts(output) == paper.texts
    assert again.metadata == paper.reader.metadata
    for number in contents(paper):
        assert paper.links(again.pages[number - 1]) == paper.links(paper.reader.pages[number - 1])


def test_without_a_browser_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = run("paper/pdf.py", "--output", tmp_path / "course.pdf", PATH=str(tmp_path), CHROMIUM="")
    assert done.code == 2
    assert HOW_TO_GET_IT in done.err
    assert not (tmp_path / "course.pdf").exists()


# The zip.


@pytest.fixture(scope="module")
def packed(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("packed") / "site.zip"
    run("site_zip.py", "--site", book, "--output", output).well()
    return output


def test_the_same_site_gives_the_same_zip(packed: Path, book: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(book, copy)  # with dates of its own
    for path in copy.rglob("*"):
        os.utime(path, (2**30, 2**30))
    run("site_zip.py", "--site", copy, "--output", tmp_path / "a.zip").well()
    assert (tmp_path / "a.zip").read_bytes() == packed.read_bytes()


def test_the_zip_opens_from_a_disk(browser: Browser, packed: Path, tmp_path: Path) -> None:
    """One folder, its pages whole: nothing missing, nothing asked of anybody, no word of error."""
    with ZipFile(packed) as archive:
        assert archive.namelist() == sorted(archive.namelist())
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "the-pytorch-training-routine"
    pages = serving.pages(folder)
    assert {f"{name}.html" for name in ["index", *ORDER, "search", "genindex"]} <= set(pages)
    found = []
    read = read_pages(pages)
    for name, visited in tour(browser, folder.as_uri() + "/", read, PHONE):
        problems = [
            *problems_offline(visited.page),
            *problems_foreign(visited),
            *problems_said(visited),
        ]
        found += [f"{name}: {problem}" for problem in problems]
    assert found == []


def test_a_site_that_is_not_built_is_not_packed(tmp_path: Path) -> None:
    done = run("site_zip.py", "--site", tmp_path, "--output", tmp_path / "a.zip")
    assert done.code != 0
    assert "make book" in done.err
    assert not (tmp_path / "a.zip").exists()
