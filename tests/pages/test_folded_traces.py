"""Printed traces and diagrams fit a phone: what a line did stands below it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.pages.browser import PHONE, WIDE, tour
from tools.serving import serve

# For each form: is it seen, and how far does it reach beyond its box?
SEEN = """form => [...document.querySelectorAll(`.${form} pre`)].map(
    pre => [pre.offsetHeight > 0, pre.scrollWidth - pre.clientWidth])"""


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_trace_is_shown_in_the_form_that_fits(
    browser: Browser, book: Path, size: tuple[int, int]
) -> None:
    names = [*sorted(path.name for path in book.glob("0*.html")), "rules.html"]
    found = 0
    with serve(book, gzipped=False) as address:
        for name, reader in tour(browser, address, names, size):
            wide, narrow = (reader.page.evaluate(SEEN, f"where-{n}") for n in ("wide", "narrow"))
            assert len(wide) == len(narrow), name
            assert all(seen == (size == WIDE) for seen, _ in wide), name
            assert all(seen == (size == PHONE) for seen, _ in narrow), name
            found += len(narrow)
            if size == PHONE:
                beyond = reader.page.locator(".course-figure").evaluate_all(
                    "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).length"
                )
                assert beyond == 0, name
    assert found >= 50
