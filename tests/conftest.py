"""The built book and a browser, for the tests that look at pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright

from tests import ROOT
from tests.pages.building import build
from tests.project.addressed import SITE, URL, address, copy
from tools.chromium import HOW_TO_GET_IT, QUIET, chromium

NO_BROWSER = f"no Chromium ({HOW_TO_GET_IT})"


# For a module, not a session: while it lives, asyncio counts as running in this thread, and
# whatever calls `asyncio.run` in a later test would be refused.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; without one its tests are skipped, but never in CI."""
    yield from launched()


def launched() -> Iterator[Browser]:
    """A browser, until nobody needs it any more."""
    executable = chromium()
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=QUIET) as browser,
    ):
        yield browser


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says what was not looked at, and how it can be."""
    skipped = terminalreporter.stats.get("skipped", [])
    missed = sum(NO_BROWSER in str(report.longrepr) for report in skipped)
    if missed:
        terminalreporter.write_line(f"{missed} tests in a browser were skipped: {NO_BROWSER}.")


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """The folder of the freshly built book, index.html in it; no site, also where one is set.

    Two groups of tests look at it: the worker that asks first builds it, the other one waits.
    """
    base = tmp_path_factory.getbasetemp()
    target = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"book-{testrun_uid}"
    with FileLock(f"{target}.lock"):
        done = target / "done"
        if not done.exists():
            target.mkdir(exist_ok=True)
            built(target, COURSE_URL="")
            done.touch()
    return target / "_build/html"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, built for an address of the site and with one of the repository."""
    root = copy(tmp_path_factory.mktemp("published"))
    address(root, "--url", URL, "--branch", "published").well()
    return built(root, root, COURSE_URL=SITE)


def built(target: Path, root: Path = ROOT, **environment: str) -> Path:
    build(root / "book", target, root, environment).well()
    return target / "_build/html"
