"""Each check of a page objects to a page that is broken in just that way, and to no sound one."""

from __future__ import annotations

import gzip
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests import ROOT
from tests.conftest import NO_BROWSER
from tests.package.running import forks
from tests.pages.browser import (
    NARROW,
    Visit,
    problems_axe,
    problems_cut,
    problems_focus,
    problems_foreign,
    problems_form,
    problems_offline,
    problems_said,
    problems_shift,
    problems_sideways,
    problems_weight,
    problems_without_scripts,
    tour,
    visit,
    weight,
)
from tools.chromium import NAMES, chromium
from tools.serving import serve

SOUND = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<main><h1>A page</h1><p>Text.</p>
{}</main></html>"""

CHECKS: dict[str, Callable[[Visit], list[str]]] = {
    "said": problems_said,
    "foreign": problems_foreign,
    "weight": lambda visit: problems_weight(visit, 20),
    "shift": lambda visit: problems_shift(visit.page),
    "axe": lambda visit: problems_axe(visit.page),
    "sideways": lambda visit: problems_sideways(visit.page),
    "focus": lambda visit: problems_focus(visit.page, 5),
    "form": lambda visit: problems_form(visit.page, "narrow"),
    "cut": lambda visit: problems_cut(visit.page),
}
OFFLINE = {"offline": problems_offline}
SCRIPTLESS = {"scriptless": problems_without_scripts}

WIDE_FORM = "<div class='where-wide'><pre>a line</pre></div>"
NARROW_FORM = "<div class='where-narrow'><pre>a line</pre></div>"
SCROLLS, WIDE_SVG = "overflow: auto", "<svg width='900'></svg>"

BROKEN = [
    ("said", "<script>console.error('oh')</script>", "error: oh"),
    ("said", "<script>console.warn('hm')</script>", "warning: hm"),
    ("said", "<script>gone()</script>", "gone is not defined"),
    ("said", "<script src='gone.js'></script>", "404"),
    ("foreign", "<script src='http://other.invalid/x.js'></script>", "http://other.invalid/x.js"),
    ("foreign", "<img alt='' src='https://other.invalid/x.png'>", "https://other.invalid/x.png"),
    ("weight", "<!--" + "x" * 21_000 + "-->", "21 KB, more than 20: /index.html 21"),
    ("weight", "<script src='big.js'></script>", "/big.js 30"),
    (
        "shift",
        # Once it was painted: what moves before that is seen by nobody.
        "<script>requestAnimationFrame(() => requestAnimationFrame(() => {"
        "document.querySelector('h1').style.height = '300px'}))</script>"
        "<p style='height: 400px'>moved</p>",
        "layout shift",
    ),
    ("axe", "<p style='color: #aaa'>pale</p>", "color-contrast"),
    ("axe", "<img src='data:,'>", "image-alt"),
    ("axe", "<pre><span>loss</span> <span style='color: #aaa'>pale</span></pre>", "contrast"),
    (
        "axe",
        "<style>span {color: #666}</style><pre><span>loss</span></pre>"
        "<pre style='background: #bbb'><span>loss</span></pre>",
        "contrast",
    ),
    ("sideways", "<p style='width: 400px'>wide</p>", "sticks out: <p"),
    ("sideways", "<p style='width: 400px'>wide</p>", "scrolls sideways"),
    (
        "sideways",
        "<div style='overflow: hidden'><p style='width: 400px'>cut</p></div>",
        "sticks out: <p",
    ),
    ("focus", "<style>a:focus {outline: none}</style><a href='#'>link</a>", "focus not seen on"),
    ("focus", "<a href='#' style='position: absolute; left: -99px'>x</a>", "what is not seen"),
    ("form", WIDE_FORM + NARROW_FORM, "traces in the wide form that are seen: 1"),
    ("form", NARROW_FORM, "traces in each form: {'wide': 0, 'narrow': 1}"),
    ("form", "<div hidden>" + WIDE_FORM + NARROW_FORM + "</div>", "narrow form that are not seen"),
    ("cut", f"<div class='course-figure' style='{SCROLLS}'>{WIDE_SVG}</div>", "px cut: <div"),
    ("cut", f"<div class='traceback'><pre style='{SCROLLS}'>{WIDE_SVG}</pre></div>", "cut: <pre"),
    ("offline", "<a href='gone.html'>link</a>", "leads nowhere: file:///"),
    ("offline", "<img alt='' src='gone.png'>", "picture not shown: file:///"),
    ("offline", "<link rel='stylesheet' href='gone.css'>", "leads nowhere: file:///"),
    ("scriptless", "<p hidden class='later'>shown by a script</p>", "hidden: <p hidden"),
    ("scriptless", "<pre style='opacity: 0'>code</pre>", "hidden: <pre"),
    ("scriptless", "<button>Copy</button>", "does nothing: <button>"),
    (
        "scriptless",
        "<script>document.querySelector('h1')</script><style>h1 {display: none}</style>",
        "hidden: <h1",
    ),
]

FINE = [
    ("weight", "<svg><!--" + "x" * 30_000 + "--></svg>"),
    ("weight", "<div class='routine-player'><table><!--" + "x" * 30_000 + "--></table></div>"),
    ("weight", "<img alt='' src='big.svg'>"),
    ("sideways", "<div style='overflow: auto'><p style='width: 400px'>wide</p></div>"),
    ("sideways", "<nav style='position: fixed; left: -300px; width: 300px'>drawer</nav>"),
    ("sideways", "<p style='width: 400px; display: none'>wide</p>"),
    ("focus", "<a href='#'>link</a> <button>button</button>"),
    ("form", "<div hidden>" + WIDE_FORM + "</div>" + NARROW_FORM),
    ("cut", f"<pre style='{SCROLLS}'>{WIDE_SVG}</pre>"),
    ("offline", "<a href='index.html#x'>link</a> <a href='https://other.invalid/'>link</a>"),
    ("scriptless", "<details><summary>Solution</summary><p>hidden until asked for</p></details>"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "big.js").write_text("//" + "x" * 30_000)
    (tmp_path / "big.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg"><!--{"x" * 30_000}--></svg>'
    )
    return tmp_path


@pytest.fixture
def plain(folder: Path) -> Iterator[str]:
    with serve(folder, gzipped=False) as address:
        yield address


def problems(browser: Browser, folder: Path, address: str, check: str, body: str) -> list[str]:
    (folder / "index.html").write_text(SOUND.format(body))
    if check in OFFLINE:
        with visit(browser, (folder / "index.html").as_uri()) as visited:
            return OFFLINE[check](visited.page)
    if check in SCRIPTLESS:
        with visit(browser, address, java_script_enabled=False) as visited:
            return SCRIPTLESS[check](visited.page)
    with visit(browser, address + "index.html", NARROW) as visited:
        return CHECKS[check](visited)


@pytest.mark.parametrize(("check", "body", "said"), BROKEN)
def test_a_broken_page_is_objected_to(
    browser: Browser, folder: Path, plain: str, check: str, body: str, said: str
) -> None:
    assert said in "\n".join(problems(browser, folder, plain, check, body))


def test_page_after_page_is_objected_to_for_its_own_faults(
    browser: Browser, folder: Path, plain: str
) -> None:
    """What comes from a cache would weigh nothing."""
    bodies = {
        "heavy.html": "<script src='big.js'></script>",
        "sound.html": "",
        "again.html": "<script src='big.js'></script><script>console.error('oh')</script>",
    }
    for name, body in bodies.items():
        (folder / name).write_text(SOUND.format(body))
    found = [
        (name, len(problems_weight(visited, 20)), len(problems_said(visited)))
        for name, visited in tour(browser, plain, [*bodies])
    ]
    assert found == [("heavy.html", 1, 0), ("sound.html", 0, 0), ("again.html", 1, 1)]


@pytest.mark.parametrize("check", [*CHECKS, *OFFLINE, *SCRIPTLESS])
def test_a_sound_page_is_not(browser: Browser, folder: Path, plain: str, check: str) -> None:
    assert problems(browser, folder, plain, check, "") == []


@pytest.mark.parametrize(("check", "body"), FINE)
def test_what_looks_broken_and_is_not(
    browser: Browser, folder: Path, plain: str, check: str, body: str
) -> None:
    assert problems(browser, folder, plain, check, body) == []


def test_weight_is_what_came(browser: Browser, folder: Path) -> None:
    """Gzipped it is less; the headers are told too."""
    body = "<script src='big.js'></script>"
    (folder / "index.html").write_text(SOUND.format(body))
    sums = {}
    for gzipped in (False, True):
        with serve(folder, gzipped=gzipped) as address, visit(browser, address) as visited:
            sums[gzipped] = weight(visited)[address + "big.js"]
    assert 30_002 < sums[False] < 30_002 + 300
    assert 0 < sums[True] < 600


def test_the_server_gzips_and_shows_the_404_page(folder: Path) -> None:
    (folder / "404.html").write_text("not here")
    (folder / "index.html").write_text("here")
    with serve(folder, gzipped=True) as address:
        asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(answer.read()) == b"here"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address + "a/b/c.html", timeout=10)
        assert caught.value.code == 404
        with caught.value as answer:
            assert answer.read() == b"not here"


# Which browser.


def test_chromium_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", sys.executable)
    assert chromium() == sys.executable
    monkeypatch.setenv("CHROMIUM", "/no/such/browser")
    with pytest.raises(FileNotFoundError, match="CHROMIUM=/no/such/browser: no such program"):
        chromium()


def test_chromium_is_found_by_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium() is None
    for name in reversed(NAMES):
        (tmp_path / name).touch(0o755)
        assert chromium() == str(tmp_path / name)


def test_ci_looks_for_the_same_names() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert all(name in script.split() for name in NAMES)


IN_BOTH = """
import os, sys, pytest
for os.environ["CI"] in "", "true":
    print("ended with", int(pytest.main(["-p", "no:cacheprovider", sys.argv[1], "-k", "is_not"])))
"""


def test_without_a_browser_the_tests_are_skipped_but_not_in_ci(tmp_path: Path) -> None:
    without = {"PATH": str(tmp_path), "CHROMIUM": ""}
    ran = forks().run(ROOT, IN_BOTH, __file__, how="code", variables=without, told=tmp_path)
    alone, in_ci, _ = ran.well().out.split("ended with ")
    assert re.findall(r"^ended with (\d)$", ran.out, flags=re.M) == ["0", "1"], ran.out
    assert alone.count(NO_BROWSER) == 1
    assert in_ci.count(NO_BROWSER) >= 1
