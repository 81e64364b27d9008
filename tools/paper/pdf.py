"""The course as one PDF, for reading on paper: `make pdf`.

Chromium prints all pages of the built site as one document (`one_document.py`, `paper.css`). It
does not know while it prints on which page a heading will stand, so it prints until the page
numbers it was told are those that came out. The same site gives the same pages where the same
Chromium and the same fonts are installed; with others, lines break elsewhere. The bytes are nearly
always the same too: nothing of the time or the machine is written into them.
"""

from __future__ import annotations

import argparse
import logging
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from os.path import relpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from playwright.sync_api import Browser, Page, Route, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import BooleanObject, DictionaryObject, NameObject

from tools.chromium import HOW_TO_GET_IT, QUIET, chromium
from tools.paper.one_document import document

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
OUTPUT = ROOT / "dist/the-pytorch-training-routine.pdf"

HOST = "http://course.invalid/"  # answered from the site's folder; nothing else is answered
OLDEST = 131  # the first Chromium that prints what @page puts into a margin
ATTEMPTS = 5
WIDTH = 658  # CSS pixels of the 174 mm that `paper.css` leaves between the margins

NUMBER = """numbers => document.querySelectorAll("[data-page-of]").forEach(
    element => { element.textContent = numbers[element.dataset.pageOf] ?? "000"; })"""


@contextmanager
def opened(site: Path, browser: Browser) -> Iterator[Page]:
    """The one document, on a page that can reach the site's folder and nothing else."""
    html = document(site)

    def answer(route: Route) -> None:
        path = unquote(urlsplit(route.request.url).path).lstrip("/")
        if not route.request.url.startswith(HOST):
            route.abort()
        elif path:
            kind = mimetypes.guess_type(path)[0]
            route.fulfill(body=(site / path).read_bytes(), content_type=kind)
        else:
            route.fulfill(body=html, content_type="text/html; charset=utf-8")

    with browser.new_context(viewport={"width": WIDTH, "height": 1000}) as context:
        context.route("**/*", answer)
        page = context.new_page()
        page.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
        page.goto(HOST)
        yield page


def printed(site: Path, browser: Browser) -> bytes:
    """The course as Chromium prints it."""
    if int(browser.version.partition(".")[0]) < OLDEST:
        raise SystemExit(f"Chromium {browser.version} is too old to print this; {OLDEST} is needed")
    numbers: dict[str, int] = {}
    with opened(site, browser) as page:
        for attempt in range(ATTEMPTS):
            page.evaluate(NUMBER, numbers)
            whole = attempt > 0  # what a screen reader needs tells no numbers, and takes its time
            pdf = page.pdf(
                prefer_css_page_size=True, print_background=True, outline=whole, tagged=whole
            )
            before, numbers = numbers, pages_of(pdf)
            if whole and before == numbers:
                return pdf
    raise RuntimeError(f"the page numbers are not settled after {ATTEMPTS} attempts")


def pages_of(pdf: bytes) -> dict[str, int]:
    """The page, from 1, of everything that a link in the document leads to."""
    reader = PdfReader(BytesIO(pdf))
    found = reader.named_destinations
    links = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
    if missing := {str(link["/Dest"]) for link in links if "/Dest" in link} - set(found):
        raise RuntimeError(f"links that lead nowhere on paper: {', '.join(sorted(missing))}")
    index = {page.indirect_reference: i for i, page in enumerate(reader.pages, 1)}
    return {name.removeprefix("/"): index[target.page] for name, target in found.items()}


def finished(pdf: bytes, author: str, subject: str) -> bytes:
    """With what is said of it, and without the time at which it was printed."""
    reader = PdfReader(BytesIO(pdf))
    title = reader.metadata.title if reader.metadata else None
    writer = PdfWriter(clone_from=reader)
    writer.pdf_header = reader.pdf_header
    writer.metadata = {"/Title": title or "", "/Author": author, "/Subject": subject}
    root = writer.root_object
    root[NameObject("/PageMode")] = NameObject("/UseOutlines")
    root[NameObject("/ViewerPreferences")] = DictionaryObject(
        {NameObject("/DisplayDocTitle"): BooleanObject(True)}
    )
    result = BytesIO()
    writer.write(result)
    return result.getvalue()


def main() -> None:
    """Print the built site."""
    parser = argparse.ArgumentParser(description="The course as one PDF.")
    parser.add_argument("--site", type=Path, default=SITE, help="the folder of the built pages")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    executable = chromium()
    if executable is None:
        parser.error(f"no Chromium, which prints the PDF: {HOW_TO_GET_IT}")
    # It counts a few objects more than it read, and says so; all are written.
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=QUIET) as browser,
    ):
        pdf = printed(options.site, browser)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    subject = config["sphinx"]["config"]["course_descriptions"]["index"]
    options.output.write_bytes(finished(pdf, config["author"], subject))
    print(f"{relpath(options.output)}: {len(PdfReader(options.output).pages)} pages")


if __name__ == "__main__":
    main()
