"""Every page of the built book in a real browser: light, accessible, and whole without a server.

What a check looks for stands in browser.py, that it can object in test_the_checks.py. Each test
here opens every page once and tells the problems of all of them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests import NAMES, NOTEBOOKS, ROOT
from tests.pages.browser import (
    NARROW,
    PHONE,
    SEEN,
    WIDE,
    Visit,
    problems_axe,
    problems_cut,
    problems_focus,
    problems_foreign,
    problems_form,
    problems_said,
    problems_shift,
    problems_sideways,
    problems_weight,
    problems_without_scripts,
    read_pages,
    tour,
    visit,
)
from tools import serving
from tools.serving import serve

EACH_KIND = {
    *("symptoms.html", "rules.html", "api.html", "glossary.html", "search.html", "404.html"),
    *(f"{NAMES[number]}.html" for number in (4, 7, 11)),  # drawings, curves, players
    f"{NAMES[-1]}.html",  # reports
}


@pytest.fixture(scope="module")
def gzipped(browser: Browser, book: Path) -> Iterator[str]:
    """The book's address on a server like GitHub Pages. Without a browser nothing is built."""
    with serve(book, gzipped=True) as address:
        yield address


@pytest.fixture(scope="module")
def plain(browser: Browser, book: Path) -> Iterator[str]:
    with serve(book, gzipped=False) as address:
        yield address


@pytest.fixture(scope="module")
def pages(book: Path) -> list[str]:
    return read_pages(serving.pages(book))


def look_at_all(
    visits: Iterator[tuple[str, Visit]], look: Callable[[str, Visit], list[str]]
) -> None:
    """Fail with the problems of all pages, one a line."""
    found = [f"{name}: {problem}" for name, visit in visits for problem in look(name, visit)]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_every_page_is_looked_at(pages: list[str]) -> None:
    names = [*NOTEBOOKS, "index", "symptoms", "rules", "glossary", "api", "search"]
    names += ["genindex", "404"]
    assert {f"{name}.html" for name in names} <= set(pages)


def test_wide_light_and_gzipped(browser: Browser, gzipped: str, pages: list[str]) -> None:
    def look(name: str, visited: Visit) -> list[str]:
        return [
            *problems_search_fields(visited.page),
            *problems_downloads(visited.page, name),
            *problems_form(visited.page, "wide"),
            *problems(visited, 150),
            *problems_axe(visited.page),
        ]

    look_at_all(tour(browser, gzipped, pages, WIDE, color_scheme="light"), look)


def test_narrow_dark_and_plain(browser: Browser, plain: str, pages: list[str]) -> None:
    """Charts and errors are seen whole; what a line did stands below it, in traces and diagrams.

    What is around the text is alike everywhere: two pages are asked for all that axe-core asks, and
    those that have one of each kind of thing for what it asks of colours and sizes.
    """
    boxes = traces = 0

    def look(name: str, visited: Visit) -> list[str]:
        nonlocal boxes, traces
        page = visited.page
        found = problems(visited, 450)
        if name.removesuffix(".html") in [*NAMES, "rules"]:
            page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
            boxes += page.locator(".course-figure, .traceback pre").count()
            traces += page.locator(".where-narrow pre").count()
            found += [*problems_cut(page), *problems_form(page, "narrow")]
            page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        if name in ("index.html", f"{NAMES[0]}.html"):
            return [*found, *problems_axe(page)]
        return [*found, *problems_axe(page, SEEN)] if name in EACH_KIND else found

    look_at_all(tour(browser, plain, pages, NARROW, color_scheme="dark"), look)
    assert boxes >= 14
    assert traces >= 50


@pytest.mark.weekly  # daily what is seen stands above
def test_narrow_and_dark_by_all_rules(browser: Browser, plain: str, pages: list[str]) -> None:
    visits = tour(browser, plain, pages, NARROW, color_scheme="dark")
    look_at_all(visits, lambda _, visited: problems_axe(visited.page))


def problems(visited: Visit, kilobytes: int) -> list[str]:
    return [
        *problems_shift(visited.page),
        *problems_sideways(visited.page),
        *problems_weight(visited, kilobytes),
        *problems_foreign(visited),
        *problems_said(visited),
    ]


def problems_search_fields(page: Page) -> list[str]:
    """There is one."""
    fields = page.locator("input[name=q]:visible").count()
    return [] if fields == 1 else [f"{fields} search fields"]


def problems_downloads(page: Page, name: str) -> list[str]:
    """A notebook is offered on its page, other pages have none; what the text offers is apart."""
    own = "a[download]:not([href^='_downloads/'])"
    offered = page.locator(f"{own}, a[href$='.ipynb']").count()
    expected = int(name.removesuffix(".html") in NOTEBOOKS)
    return [] if offered == expected else [f"offers {offered} downloads, not {expected}"]


def test_without_scripts(browser: Browser, plain: str, pages: list[str]) -> None:
    def look(_: str, visited: Visit) -> list[str]:
        wide = problems_without_scripts(visited.page)
        visited.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        return [*wide, *problems_without_scripts(visited.page)]

    look_at_all(tour(browser, plain, pages, WIDE, java_script_enabled=False), look)


# Finding the way.


@pytest.mark.parametrize(("size", "names"), [(WIDE, NAMES), (PHONE, NAMES[:3])])
def test_next_leads_through_the_course_without_scripts(
    browser: Browser, plain: str, size: tuple[int, int], names: list[str]
) -> None:
    with visit(browser, plain + "index.html", size, java_script_enabled=False) as visited:
        seen = []
        for _ in names:
            follow(visited.page.locator("a.next-page"))
            seen.append(Path(visited.page.url).stem)
    assert seen == names


def follow(link: Locator) -> None:
    """Click a link and wait for its page: a click alone returns while the old one may be going."""
    address = link.evaluate("link => link.href")
    link.click()
    link.page.wait_for_url(lambda url: url == address)


def drawer(page: Page) -> Locator:
    """The link to the third chapter, in what lies beside a wide page and slides over a narrow."""
    return page.locator(f".sidebar-tree a[href='{NAMES[2]}.html']")


def in_sight(link: Locator, expected: bool) -> None:
    """Wait for what slides in to be there; what is not to be seen is not, from the start."""
    if expected:
        expect(link).to_be_in_viewport(ratio=1)
    else:
        expect(link).not_to_be_in_viewport()


def test_the_drawer_opens_without_scripts(browser: Browser, plain: str) -> None:
    with visit(browser, plain + "index.html", PHONE, java_script_enabled=False) as visited:
        page = visited.page
        link = drawer(page)
        in_sight(link, False)
        page.locator("header label[for=__navigation]").click()
        in_sight(link, True)
        follow(link)
        assert NAMES[2] in page.url


@pytest.mark.parametrize("scripts", [True, False])
def test_the_drawer_opens_by_keyboard(browser: Browser, plain: str, scripts: bool) -> None:
    """What Tab leads to opens it, and Tab leads on to its links."""
    with visit(browser, plain + "index.html", PHONE, java_script_enabled=scripts) as visited:
        page = visited.page
        link = drawer(page)
        tab_to(page, 8, lambda: "navigation" in accessible_name(page))
        in_sight(link, False)
        page.keyboard.press("Space")
        in_sight(link, True)
        tab_to(page, 20, lambda: has_focus(link))
        in_sight(link, True)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{NAMES[2]}.html")


def tab_to(page: Page, most: int, there: Callable[[], bool]) -> None:
    """Press Tab until something is reached."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if there():
            return
    pytest.fail(f"not reached with {most} times Tab")


def has_focus(link: Locator) -> bool:
    return bool(link.evaluate("link => link === document.activeElement"))


def accessible_name(page: Page) -> str:
    """What a screen reader says of the element that has the focus."""
    name: str = page.evaluate(
        """() => {
            const element = document.activeElement;
            const label = element.labels?.length ? element.labels[0].innerText : "";
            return element.ariaLabel || label || element.innerText || "";
        }"""
    )
    return name.lower()


def test_skip_link(browser: Browser, plain: str) -> None:
    with visit(browser, plain + f"{NAMES[0]}.html") as visited:
        page = visited.page
        page.keyboard.press("Tab")
        assert "skip" in accessible_name(page)
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main, [role=main]') !== null")


def test_focus_is_seen(browser: Browser, plain: str) -> None:
    with visit(browser, plain + f"{NAMES[2]}.html") as visited:
        assert "\n".join(problems_focus(visited.page, 60)) == ""
        page = visited.page
        assert page.evaluate("document.activeElement.closest('main, [role=main]') !== null")


def test_the_theme_is_chosen_by_keyboard(browser: Browser, plain: str) -> None:
    """Round once: light, dark and the reader's own setting; the choice stays for the next page."""
    with visit(browser, plain + "index.html", color_scheme="light") as visited:
        page = visited.page
        page.locator(".theme-toggle:visible").focus()
        seen = []
        for _ in range(3):
            page.keyboard.press("Enter")
            seen.append((page.evaluate("document.body.dataset.theme"), paper(page)))
        assert len({theme for theme, _ in seen}) == 3
        colours = dict(seen)
        assert colours["light"] == colours["auto"] != colours["dark"]
        while page.evaluate("document.body.dataset.theme") != "dark":
            page.keyboard.press("Enter")
        page.goto(plain + f"{NAMES[0]}.html")
        assert paper(page) == colours["dark"]


def paper(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


# Search.


@pytest.mark.parametrize(
    ("opened", "words", "answers"),
    [
        ("http", "why None", {"glossary", "02_parameters_and_grad", "03_computing_gradients"}),
        ("file", "momentum buffer", {"glossary", "06_sgd_in_full"}),
    ],
)
def test_a_result_of_the_search_is_followed(
    browser: Browser, plain: str, book: Path, opened: str, words: str, answers: set[str]
) -> None:
    start = plain if opened == "http" else book.as_uri() + "/"
    with visit(browser, start + "index.html") as visited:
        field = visited.page.locator("input[name=q]:visible")
        assert field.count() == 1
        field.click()
        page = visited.page
        page.keyboard.type(words)
        page.keyboard.press("Enter")
        first = page.locator("#search-results li a").first
        first.wait_for()
        page.wait_for_function("!document.querySelector('#search-progress')?.innerText.trim()")
        assert Path((first.get_attribute("href") or "").partition("#")[0]).stem in answers
        follow(first)
        assert Path(page.url.partition("#")[0].partition("?")[0]).stem in answers
        assert problems_said(visited) == []


def test_the_search_page_of_a_phone_has_a_field(browser: Browser, plain: str) -> None:
    with visit(browser, plain + "search.html", PHONE) as visited:
        page = visited.page
        page.locator(".page-search input").fill("xyzzy")
        page.locator(".page-search button").click()
        expect(page.get_by_text("No page has all of these words.")).to_be_visible()
        page.locator(".page-search input").fill("nesterov")
        page.keyboard.press("Enter")
        expect(page.locator("#search-results li a").first).to_contain_text("Nesterov momentum")
        assert problems_said(visited) == []


# What is wide, on a phone.


def test_a_box_shows_at_which_side_it_goes_on(browser: Browser, plain: str) -> None:
    with visit(browser, plain + f"{NAMES[0]}.html", PHONE) as visited:
        boxes = visited.page.locator("article pre")
        box = boxes.locator("xpath=self::*[@tabindex]").first
        expect(box).to_have_attribute("data-more", "right")
        shadow = "box => getComputedStyle(box).boxShadow"
        assert "inset" in box.evaluate(shadow)
        box.evaluate("box => box.scrollTo({left: 10, behavior: 'instant'})")
        expect(box).to_have_attribute("data-more", "left right")
        box.evaluate("box => box.scrollTo({left: box.scrollWidth, behavior: 'instant'})")
        expect(box).to_have_attribute("data-more", "left")
        assert boxes.locator("xpath=self::*[not(@tabindex)]").first.evaluate(shadow) == "none"


def test_a_finding_leads_to_its_section_by_name(browser: Browser, plain: str) -> None:
    with visit(browser, plain + f"{NAMES[11]}.html") as visited:
        answers = visited.page.locator(".routine-player details").first
        answers.evaluate("details => details.open = true")
        link = answers.get_by_role("link", name="Gradients that go wrong: Gradients that are lost")
        follow(link)
        heading = visited.page.locator("#gradients-that-are-lost h2")
        expect(heading).to_be_in_viewport()


# Taking code and notebooks along.


def test_code_is_copied_by_keyboard(browser: Browser, plain: str) -> None:
    address = plain + f"{NAMES[0]}.html"
    granted = ["clipboard-read", "clipboard-write"]
    with visit(browser, address, permissions=granted) as visited:
        page = visited.page
        code = page.locator("main, [role=main]").locator(".highlight:has(.copybtn)")
        assert code.count() == page.locator(".highlight-python, .highlight-ipython3").count() > 3
        button = code.first.locator(".copybtn")
        button.evaluate("button => button.focus()")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        assert has_focus(button)
        expect(button).to_have_accessible_name(re.compile("copy", re.I))
        page.keyboard.press("Enter")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.strip() == code.first.locator("pre").inner_text().strip()


def test_the_notebook_is_downloaded(browser: Browser, plain: str) -> None:
    name = NAMES[3]
    with visit(browser, plain + f"{name}.html") as visited:
        link = visited.page.get_by_role("link", name=re.compile("download", re.I))
        with visited.page.expect_download() as downloaded:
            link.click()
        assert downloaded.value.suggested_filename == f"{name}.ipynb"
        source = ROOT / "book" / f"{name}.ipynb"
        assert Path(downloaded.value.path()).read_bytes() == source.read_bytes()


def test_a_page_that_is_not_there(browser: Browser, published: Path, tmp_path: Path) -> None:
    """On the host that it was built for, at any depth: it has its style, and leads home."""
    (tmp_path / "course").symlink_to(published)
    shutil.copy(published / "404.html", tmp_path)
    with (
        serve(tmp_path, gzipped=True) as address,
        visit(browser, address + "course/no/such/page.html") as visited,
    ):
        page = visited.page
        assert page.locator("h1").count() == 1
        assert paper(page) != "rgba(0, 0, 0, 0)"
        own = f"the server responded with a status of 404 (Not Found) ({page.url})"
        assert [line for line in problems_said(visited) if own not in line] == []
        follow(page.locator(".sidebar-brand"))
        assert page.url.removesuffix("index.html") == address + "course/"
        assert paper(page) != "rgba(0, 0, 0, 0)"
