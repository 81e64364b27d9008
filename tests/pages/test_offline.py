"""The course to take along: one PDF for paper, and a zip of the site that opens from disk.

The PDF is printed once, by the command. What can be seen in it is asked of the PDF; how wide things
are is measured in the document that is printed, at the width of the paper.
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
from bs4.element import Tag
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


def run(tool: str, *arguments: str | Path, **variables: str) -> Ran:
    return python(ROOT, str(ROOT / "tools" / tool), *map(str, arguments), variables=variables)


@dataclass(frozen=True)
class Paper:
    """The printed course: its pages, what stands on each, and its bookmarks."""

    reader: PdfReader
    texts: list[str]
    bookmarks: list[tuple[int, Destination]]

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
def paper(browser: Browser, book: Path, tmp_path_factory: pytest.TempPathFactory) -> Paper:
    """Without a browser nothing is built."""
    output = tmp_path_factory.mktemp("paper") / "course.pdf"
    run("paper/pdf.py", "--site", book, "--output", output).well()
    reader = PdfReader(output)
    return Paper(reader, texts(output), list(flat(reader, reader.outline)))


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
    assert 60 < len(paper.texts) < 450
    for page in paper.reader.pages:
        assert [round(side / MM) for side in page.mediabox[2:]] == [210, 297]


def test_every_page_says_its_number(paper: Paper) -> None:
    assert squeezed(paper.texts[0]).startswith(squeezed(TITLE))
    for number, text in enumerate(paper.texts[1:], 2):
        assert str(number) in (text.split()[0], text.split()[-1]), text


def test_bookmarks_lead_to_their_headings(paper: Paper, book: Path) -> None:
    chapters = [bookmark for depth, bookmark in paper.bookmarks if depth == 0]
    chapter_titles = [
        headings(ROOT / "book" / f"{name}.ipynb")[0] for name in ORDER[: len(CHAPTERS)]
    ]
    numbered = [
        f"{i}. {title}" if i <= len(NUMBERED) else title
        for i, title in enumerate(chapter_titles, 1)
    ]
    expected = [TITLE, *numbered, "What you see, and where to look", "What the diagnosis knows"]
    expected += ["Then and now", "Glossary"]
    assert [str(chapter.title) for chapter in chapters[:-1]] == expected
    assert chapters[-1].title == "The package companion"
    assert len(paper.bookmarks) > 100
    titles = {title for name in ["index", *ORDER] for title in headings_of(book / f"{name}.html")}
    for _, bookmark in paper.bookmarks:
        title = str(bookmark.title)
        assert title == "Contents" or title in titles
        assert squeezed(title) in squeezed(paper.texts[paper.page_of(bookmark) - 1])


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
    sections = [text for path in CHAPTERS for text in headings(path)]
    assert len(named) > len(ORDER) + len(sections) * 2 // 3
    for title, page in named:
        assert squeezed(title) in squeezed(paper.texts[page - 1])
    titles = [squeezed(title) for title, _ in named]
    for path in CHAPTERS:
        for section in headings(path)[1:]:
            assert squeezed(section.replace("`", "")) in titles


def contents(paper: Paper) -> range:
    """The pages of the table of contents."""
    starts = [paper.page_of(bookmark) for _, bookmark in paper.bookmarks]
    first = next(paper.page_of(b) for _, b in paper.bookmarks if b.title == "Contents")
    return range(first, min(page for page in starts if page > first))


def test_links_lead_inside_and_outside(paper: Paper, book: Path) -> None:
    found = [link for page in paper.reader.pages for link in paper.links(page)]
    inside = [link for link in found if isinstance(link, int)]
    outside = {link for link in found if isinstance(link, str)}
    assert len(inside) > 200
    wanted = {
        str(link["href"])
        for name in ["index", *ORDER]
        for link in soup(book / f"{name}.html").select("article a.external[href]")
    }
    assert len(wanted) > 20
    assert wanted <= outside
    assert all(address.startswith("https://") for address in outside)


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_line_of_code_is_whole(paper: Paper, path: Path) -> None:
    """A line of a cell is a line on paper, also the longest."""
    lines = {squeezed(line) for text in paper.texts for line in text.splitlines()}
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    hidden = {"remove-input", "remove-cell", "hide-input"}
    code = [
        line
        for cell in cells
        if not hidden & set(cell.metadata.get("tags", []))
        for line in cell.source.splitlines()
    ]
    assert len(code) > 30
    assert [line for line in code if line.strip() and squeezed(line) not in lines] == []


def test_every_output_and_every_solution_is_there(paper: Paper, book: Path) -> None:
    whole = re.sub(r"\s+", "", "".join(paper.texts))
    seen = 0
    for path in CHAPTERS:
        page = soup(book / f"{path.stem}.html")
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


def test_nothing_is_wider_than_the_paper(browser: Browser, paper: Paper, book: Path) -> None:
    """Chromium would set everything smaller to make it fit: also that is seen."""
    with opened(book, browser) as page:
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


def test_the_same_site_gives_the_same_document(book: Path) -> None:
    """What is printed; that it prints alike is seen weekly. Another process hashes otherwise."""
    code = (
        "import sys; from pathlib import Path; from tools.paper.one_document import document; "
        "sys.stdout.write(document(Path(sys.argv[1])))"
    )
    ran = python(ROOT, "-c", code, str(book), variables={"PYTHONHASHSEED": "7"})
    assert ran.out == document(book), ran.err


@pytest.mark.weekly  # prints once more; daily stands above
def test_the_same_site_gives_the_same_paper(paper: Paper, book: Path, tmp_path: Path) -> None:
    output = tmp_path / "course.pdf"
    run("paper/pdf.py", "--site", book, "--output", output).well()
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


# Pages in one document, without a browser.

PAGE = """<html lang="en"><head><meta property="og:site_name" content="Course"></head><body>
<nav class="sidebar-tree"><a href="01_one.html">One</a><a href="02_two.html">Two</a></nav>
<article><section id="top"><h1 id="title">Title<a class="headerlink" href="#top">#</a></h1>
<section id="part"><h2>Part</h2>
<svg><defs><clipPath id="clip"></clipPath></defs><g clip-path="url(#clip)"></g>
<g style="fill: url(#clip)"></g><use href="#clip"></use></svg>
<p aria-labelledby="title part">{text}</p><script>1</script></section></section></article>
<div class="copyright">c</div><p class="licence">l</p></body></html>"""


def joined(folder: Path, text: str = "") -> BeautifulSoup:
    for name in "index", "01_one", "02_two":
        (folder / f"{name}.html").write_text(PAGE.format(text=text))
    return BeautifulSoup(document(folder), "html.parser")


def only(within: Tag, selector: str) -> Tag:
    (found,) = within.select(selector)
    return found


def test_pages_do_not_disturb_each_other(tmp_path: Path) -> None:
    """What has the same name on every page is found on its own page."""
    result = joined(tmp_path)
    for name in "01_one", "02_two":
        section = only(result, f"section.page[id='{name}']")
        assert only(section, "clippath")["id"] == f"{name}--clip"
        first, second = section.select("svg > g")
        assert first["clip-path"] == f"url(#{name}--clip)"
        assert second["style"] == f"fill: url(#{name}--clip)"
        assert only(section, "use")["href"] == f"#{name}--clip"
        assert only(section, "p")["aria-labelledby"] == f"{name}--title {name}--part"
        assert section.select("script, .headerlink") == []
    assert [h1.text for h1 in result.select("h1")] == ["Title", "Title", "Title"]
    assert [a["href"] for a in result.select(".paper-contents a")] == [
        "#index--part",
        "#01_one",
        "#01_one--part",
        "#02_two",
        "#02_two--part",
    ]


def test_links_between_pages(tmp_path: Path) -> None:
    links = {
        "#part": "#02_two--part",
        "01_one.html": "#01_one",
        "01_one.html#part": "#01_one--part",
        "https://example.org/01_one.html#part": "https://example.org/01_one.html#part",
        "_modules/one.html#part": None,
        "genindex.html": None,
    }
    result = joined(tmp_path, "".join(f'<a href="{href}">{href}</a>' for href in links))
    last = result.select("section.page p")[-1]
    assert [a["href"] for a in last.select("a")] == [to for to in links.values() if to]
    assert last.text == "".join(links)  # what leads out of the document is still to be read


@pytest.mark.parametrize(
    "text",
    ['<a href="01_one.html#no">x</a>', '<i id="part">x</i>', '<i aria-labelledby="no">x</i>'],
)
def test_an_id_that_is_not_there_or_twice_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"--(no|part)"):
        joined(tmp_path, text)


def test_a_line_too_long_for_any_size_is_folded(tmp_path: Path) -> None:
    """It alone, and not a letter of it is lost."""
    long = "<b>word</b> " * 40
    result = joined(tmp_path, f"<pre>first\n{long}\n<i>third</i>\n</pre><pre>{'x' * 90}</pre>")
    code, other = result.select("section.page pre")[-2:]
    assert [line.text for line in code.select(".folded")] == ["word " * 40]
    assert code.text.split() == ["first", *["word"] * 40, "third"]
    assert (code["style"], other["style"]) == ("--columns: 5", "--columns: 90")


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
