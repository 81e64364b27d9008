"""All pages of the built site as one HTML document, for paper.

Ids are one space for a whole document, and every chapter has its "exercises" and its clip paths:
each page's ids get the page's name in front, and so does whatever refers to them. A link to another
page becomes a link inside the document; a link to a page that is not in it (the source of a
function, the index) leaves its text. What only a screen can use is left out.

Sphinx's own `singlehtml` was tried on this book: it keeps ids as they are, so that nine of them
("exercises", "adam") stand in it more than once and links lead to the first; chapters become
sections of the front page; and what our extensions do to a finished page is not done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, Tag

CONTENTS = {"en": "Contents", "ko": "차례"}
STYLES = Path(__file__).with_name("paper.css")

# Nothing happens on paper when they are pressed.
SCREEN_ONLY = ".page-actions, .headerlink, .viewcode-link, .rp-app, script, style, noscript, button"

NAMES_AN_ID = {
    *("for", "headers", "list"),
    *(f"aria-{name}" for name in ("labelledby", "describedby", "details", "controls", "owns")),
}
WIDEST = 118  # columns; a line that has more is folded rather than set smaller still
SHORT = 14  # lines of code that stay on one page
MOST_SECTIONS = 20  # a page that has more of them is in alphabetical order anyway


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents."""

    anchor: str
    title: str
    chapter: bool


def document(site: Path) -> str:
    """Read the built site and write the one document. Pages are named in it by `data-page-of`."""
    front = read(site / "index.html")
    order = ["index", *(Path(str(a["href"])).stem for a in front.select(".sidebar-tree a"))]
    pages = {name: read(site / f"{name}.html") for name in order}
    articles = {name: one(page, "article") for name, page in pages.items()}
    for name, article in articles.items():
        prepare(article, name, set(order))
    entries = [entry for name in order for entry in contents(articles[name], name)]
    result = _assemble(front, articles, entries)
    by_id = check(result)
    for link in result.select(".routine-player a[href^='#']"):
        _name_the_target(result, link, by_id[str(link["href"])[1:]])
    return "<!doctype html>\n" + str(result)


def read(path: Path) -> BeautifulSoup:
    """One page; `class` and its like stay text."""
    text = path.read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser", multi_valued_attributes=None)


def one(within: Tag, selector: str) -> Tag:
    """The element that must be there."""
    found = within.select_one(selector)
    if found is None:
        raise ValueError(f"no {selector} in a page of the site; build it anew: make book")
    return found


def prepare(article: Tag, name: str, known: set[str]) -> None:
    """Make one page's text fit to stand among the others."""
    for useless in article.select(SCREEN_ONLY):
        useless.decompose()
    for link in article.find_all("a", href=True):
        if _elsewhere(str(link["href"]), known):
            link.unwrap()
    for details in article.find_all("details"):
        details["open"] = ""
    for code in article.find_all("pre"):
        fit(code)
    own_ids(article, name, known)
    article.name = "section"
    article.attrs = {"id": name, "class": "page"}


def _elsewhere(href: str, known: set[str]) -> bool:
    """Whether a link leads to a page that the document does not have."""
    parts = urlsplit(href)
    return bool(not parts.scheme and parts.path and not _page(parts.path, known))


def _page(path: str, known: set[str]) -> str | None:
    stem, _, suffix = unquote(path).rpartition(".")
    return stem if suffix == "html" and stem in known else None


def own_ids(article: Tag, name: str, known: set[str]) -> None:
    """Put the page's name before each id and each reference to one."""
    for element in article.find_all(True):
        for key, text in list(element.attrs.items()):
            value = str(text)
            if key == "id":
                element[key] = f"{name}--{value}"
            elif key in NAMES_AN_ID:
                element[key] = " ".join(f"{name}--{token}" for token in value.split())
            elif key in ("href", "xlink:href"):
                element[key] = _inside(value, name, known)
            elif "url(#" in value:
                element[key] = value.replace("url(#", f"url(#{name}--")


def _inside(href: str, name: str, known: set[str]) -> str:
    """Where a link leads in the one document."""
    parts = urlsplit(href)
    if parts.scheme or parts.netloc:
        return href
    page = _page(parts.path, known) if parts.path else name
    if page is None:
        return href
    return f"#{page}--{unquote(parts.fragment)}" if parts.fragment else f"#{page}"


def fit(code: Tag) -> None:
    """Tell the style how wide code is, and mark lines that are too long for any size."""
    text = code.get_text().rstrip("\n")
    widths = [len(line) for line in text.split("\n")]
    code["style"] = f"--columns: {max((w for w in widths if w <= WIDEST), default=WIDEST)}"
    if len(widths) <= SHORT:
        code["class"] = "short"
    if max(widths) > WIDEST:
        for line in list(_lines(code)):
            width = sum(len(piece.get_text()) for piece in line)
            if width > WIDEST:
                folded = Tag(name="span", attrs={"class": "folded"})
                folded.extend(line)
                code.append(folded)
            else:
                code.extend([*line, NavigableString("\n")])


def _lines(code: Tag) -> Iterator[list[PageElement]]:
    """The pieces of each line; a piece that is highlighted over several lines stays whole."""
    line: list[PageElement] = []
    for piece in [child.extract() for child in list(code.children)]:
        if not isinstance(piece, NavigableString):
            line.append(piece)
            continue
        first, *others = str(piece).split("\n")
        line.append(NavigableString(first))
        for other in others:
            yield line
            line = [NavigableString(other)]
    if any(piece.get_text() for piece in line):
        yield line


def contents(article: Tag, name: str) -> Iterator[Entry]:
    """What the table of contents says of one page: its title and its sections."""
    if name != "index":
        yield Entry(name, one(article, "h1").get_text(), chapter=True)
    sections = article.select("section:has(> h2)")
    if len(sections) <= MOST_SECTIONS:
        for section in sections:
            title = one(section, "h2").get_text()
            yield Entry(str(section["id"]), title, chapter=name == "index")


def _assemble(
    front: BeautifulSoup, articles: dict[str, Tag], entries: list[Entry]
) -> BeautifulSoup:
    """Title page, contents, then all pages."""
    language = str(one(front, "html")["lang"])
    result = BeautifulSoup(
        f'<html lang="{language}"><head><meta charset="utf-8"></head>'
        '<body data-theme="light"></body></html>',
        "html.parser",
    )
    head, body = one(result, "head"), one(result, "body")
    title = result.new_tag("title")
    title.string = str(one(front, 'meta[property="og:site_name"]')["content"])
    head.append(title)
    for sheet in front.select("link[rel=stylesheet], head > style"):
        head.append(sheet.extract())
    for name in "player", "operate":
        head.append(result.new_tag("link", rel="stylesheet", href=f"_static/{name}.css"))
    style = result.new_tag("style")
    style.string = STYLES.read_text(encoding="utf-8")
    head.append(style)

    index = articles.pop("index")
    cover = result.new_tag("section", attrs={"class": "cover"})
    inner = one(index, "section")
    for element in list(inner.children):
        if isinstance(element, Tag) and element.name == "section":
            break
        cover.append(element.extract())
    imprint = result.new_tag("footer")
    for selector in ".copyright", ".licence":
        imprint.append(one(front, selector).extract())
    cover.append(imprint)
    body.extend([cover, _table(result, CONTENTS[language], entries), index, *articles.values()])
    return result


def _table(result: BeautifulSoup, heading: str, entries: list[Entry]) -> Tag:
    """The table of contents. Which page each entry is on, only printing tells."""
    nav = result.new_tag("nav", attrs={"class": "paper-contents"})
    title = result.new_tag("h2")
    title.string = heading
    nav.append(title)
    for entry in entries:
        kind = "of-chapter" if entry.chapter else "of-section"
        line = result.new_tag("a", href=f"#{entry.anchor}", attrs={"class": kind})
        name = result.new_tag("span")
        name.string = entry.title
        leader = result.new_tag("span", attrs={"class": "leader"})
        line.extend([name, leader, _page_of(result, entry.anchor)])
        nav.append(line)
    return nav


def _page_of(result: BeautifulSoup, anchor: str) -> Tag:
    return result.new_tag("span", attrs={"class": "page-of", "data-page-of": anchor})


def _name_the_target(result: BeautifulSoup, link: Tag, target: Tag) -> None:
    """Where a finding is explained: on paper by heading and page, not by a file's name."""
    link.string = one(target, "h1, h2, h3").get_text() + ", p. "
    link.append(_page_of(result, str(target["id"])))


def check(result: BeautifulSoup) -> dict[str, Tag]:
    """Every id once, every reference to one that is there; the elements by their ids."""
    by_id: dict[str, Tag] = {}
    twice: set[str] = set()
    referred: set[str] = set()
    for element in result.find_all(True):
        for key, value in element.attrs.items():
            text = str(value)
            referred |= set(re.findall(r"url\(#([^)]+)\)", text))
            if key == "id":
                if text in by_id:
                    twice.add(text)
                by_id[text] = element
            elif key in NAMES_AN_ID:
                referred |= set(text.split())
            elif key == "href" and text.startswith("#"):
                referred.add(text[1:])
    if twice:
        raise ValueError(f"ids that occur twice: {', '.join(sorted(twice)[:5])}")
    if missing := sorted(referred - set(by_id)):
        raise ValueError(f"references that lead nowhere: {', '.join(missing[:5])}")
    return by_id
