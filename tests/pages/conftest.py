"""Traces that are played, and a player in a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from companion import Trace
from tests.conftest import launched
from tests.package.render.played import loop
from tests.pages.browser import problems_said, visit
from tests.pages.playing import write


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all of these files: to start it takes two seconds of a processor."""
    yield from launched()


@pytest.fixture(scope="module")
def right() -> Trace:
    return loop()


@pytest.fixture(scope="module")
def wrong() -> Trace:
    return loop(steps=3, clear=False)


@pytest.fixture
def played(browser: Browser, right: Trace, tmp_path: Path) -> Iterator[Page]:
    with visit(browser, write(tmp_path, right._repr_html_())) as opened:
        yield opened.page
        assert problems_said(opened) == []
