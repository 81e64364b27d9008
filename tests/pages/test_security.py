"""What a page may do: each states a policy, keeps to it, and what is smuggled in does not run.

That every page of the book loads under its policy without a violation is seen in `test_pages.py`:
a violation is an error in the console, and there no page may have one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from companion.render.player.fragment import page as player_page
from tests import ROOT
from tests.package.render.played import loop
from tests.pages.browser import problems_said, visit
from tests.pages.building import build, small_book
from tools.serving import pages, serve

SCRIPT = "<script>document.title = 'ran'</script>"
HANDLER = "<img src=x onerror=\"document.title = 'ran'\">"
STYLE = "<style>h1 { color: rgb(1, 2, 3) !important }</style>"
LINK = "<a id=smuggled href=\"javascript:document.title = 'ran'\">x</a>"

# Attributes that load something, and the elements on which they do.
LOADS = {
    "src": {"script", "img", "iframe", "frame", "embed", "source", "audio", "video", "track"},
    "href": {"link", "image", "use", "base"},
    "data": {"object"},
    "srcset": {"img", "source"},
    "poster": {"video"},
    "action": {"form"},
}
FOREIGN = re.compile(r"\s*(?!data:image/png;)(?:[a-z][a-z0-9+.-]*:|//)", re.I)  # figures have PNGs
ADDRESSES = {"canonical", "alternate"}  # links that are read and not followed

SECRETS = [
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    r"\bgithub_pat_\w{20,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bAIza[\w-]{35}\b",
    r"\bxox[abprs]-[\w-]{10,}",
    r"\bpypi-Ag[\w-]{20,}",
    r"\bhf_[A-Za-z0-9]{30,}",
    r"\bsk-[\w-]{30,}",
    r"(?i)\b(?:password|passwd|secret|api[_-]?key|auth[_-]?token)\s*[:=]\s*['\"][^'\"]{6,}['\"]",
]


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def policies(html: str) -> list[dict[str, list[str]]]:
    """What the page's policies allow, by directive."""
    stated = [
        attributes["content"]
        for tag, attributes in Elements(html).found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    return [
        {words[0]: words[1:] for one in policy.split(";") if (words := one.split())}
        for policy in stated
    ]


def problems_policy(html: str) -> list[str]:
    """What is wrong with the policy a page states."""
    stated = policies(html)
    if len(stated) != 1:
        return [f"{len(stated)} policies"]
    (policy,) = stated
    known = r"'none'|'self'|'sha256-[\w+/]{43}='"
    allowed = {"style-src": rf"{known}|'unsafe-inline'", "img-src": rf"{known}|data:"}
    wrong = [
        f"{directive} {source}"
        for directive, sources in policy.items()
        for source in sources
        if not re.fullmatch(allowed.get(directive, known), source)
    ]
    if policy.get("default-src") != ["'none'"]:
        wrong.append("default-src is not 'none'")
    # What default-src does not stand for, it does not forbid either.
    wrong += [f"no {name}" for name in ("base-uri", "form-action") if name not in policy]
    first = html.index("Content-Security-Policy")
    if re.search(r"<(script|style|link|img)\b", html[:first]):
        wrong.append("something comes before the policy")
    return wrong


def problems_loads(html: str) -> list[str]:
    """What a page would load or send elsewhere, and attributes that hold code."""
    found = []
    for tag, attributes in Elements(html).found:
        if tag == "link" and set(attributes.get("rel", "").split()) <= ADDRESSES:
            continue
        found += [
            f"<{tag} {name}={value!r}>"
            for name, value in attributes.items()
            if (tag in LOADS.get(name, ()) and FOREIGN.match(value))
            or (name.startswith("on") and tag != "meta")
            or re.match(r"\s*javascript:", value, re.I)
            or (name == "style" and "url(" in value)
        ]
    return found


def each(folder: Path) -> Iterator[tuple[str, str]]:
    """Every page, with its path."""
    for name in pages(folder):
        yield name, (folder / name).read_text(encoding="utf-8")


# The checks can object.


@pytest.mark.parametrize(
    "policy",
    [
        "default-src 'self'; base-uri 'none'; form-action 'none'",
        "default-src 'none'; script-src https://example.org; base-uri 'none'; form-action 'none'",
        "default-src 'none'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
        "default-src 'none'; script-src data:; base-uri 'none'; form-action 'none'",
        "default-src 'none'; script-src 'self'; form-action 'none'",
        "default-src 'none'; script-src 'self'; base-uri 'none'",
    ],
)
def test_policies_that_are_too_wide(policy: str) -> None:
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    assert len(problems_policy(meta)) == 1


def test_policies_that_are_missing_late_or_two() -> None:
    good = (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; base-uri 'none'; form-action 'none'\">"
    )
    assert problems_policy(good) == []
    assert problems_policy("") == ["0 policies"]
    assert problems_policy(good + good) == ["2 policies"]
    assert problems_policy(SCRIPT + good) == ["something comes before the policy"]


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://example.org/a.js"></script>', '<img src="//example.org/a.png">',
        '<link rel="stylesheet" href="HTTPS://example.org/a.css">', HANDLER, LINK,
        '<iframe src="https://example.org"></iframe>', '<form action="https://example.org">',
        '<div style="background: url(a.png)">', '<link rel="preload icon" href="data:,">',
    ],
)  # fmt: skip
def test_elements_that_load_or_hold_code(element: str) -> None:
    assert len(problems_loads(element)) == 1


def test_links_to_read_are_no_loads() -> None:
    assert (
        problems_loads('<a href="https://example.org"><link rel="canonical" href="https://e">')
        == []
    )


# The built book.


def test_every_page_states_one_policy_and_loads_nothing_foreign(book: Path) -> None:
    found = [
        f"{name}: {problem}"
        for name, html in each(book)
        for problem in [*problems_policy(html), *problems_loads(html)]
    ]
    assert found == []


def test_the_published_book_too(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every digest is that of a script on the page as it was written last."""
    monkeypatch.syspath_prepend(ROOT / "book/_ext")
    from content_policy import with_policy

    found = [
        f"{name}: {problem}"
        for name, html in each(published)
        for problem in [*problems_policy(html), *problems_loads(html)]
    ]
    assert found == []
    assert [name for name, html in each(published) if with_policy(html) != html] == []


def test_no_script_in_the_text_of_a_page(book: Path) -> None:
    """Each page has the theme's one, which sets the reader's colours before anything is seen."""
    assert {len(re.findall(r"<script>", html)) for _, html in each(book)} == {1}
    assert {len(policies(html)[0]["script-src"]) for _, html in each(book)} == {2}


def test_style_sheets_load_nothing_foreign(book: Path) -> None:
    for path in book.rglob("*.css"):
        css = path.read_text(encoding="utf-8")
        assert "@import" not in css, path
        loaded = re.findall(r"url\(\s*['\"]?([^)'\"]{1,40})", css)
        assert [url for url in loaded if re.match(r"(?!data:image/)[a-z]+:|//", url)] == [], path


def test_no_secrets(book: Path) -> None:
    found = [
        f"{path.relative_to(book)}: {match[0][:12]}"
        for path in book.rglob("*")
        if path.is_file() and path.suffix not in (".png", ".inv")
        for pattern in SECRETS
        if (match := re.search(pattern, path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize("pattern", SECRETS)
def test_a_secret_would_be_found(pattern: str) -> None:
    examples = [
        "-----BEGIN RSA PRIVATE KEY-----", "ghp_" + "a1" * 18, "github_pat_" + "a1" * 20,
        "AKIA" + "A1" * 8, "AIza" + "a" * 35, "xoxb-" + "1" * 12, "pypi-Ag" + "E" * 30,
        "hf_" + "aB" * 17, "sk-" + "a1" * 20, "api_key = 'a1b2c3d4'",
    ]  # fmt: skip
    assert [one for one in examples if re.search(pattern, one)] == [
        examples[SECRETS.index(pattern)]
    ]


def test_a_second_build_renews_the_policy(tmp_path: Path) -> None:
    """One page is written anew, the other stays as it was: each has one policy."""
    source = small_book(tmp_path, "One.")
    (source / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: glossary\n")
    (source / "glossary.md").write_text("# Two\n")
    for text in "Two.", "Three.":
        build(source, tmp_path).well()
        (source / "index.md").write_text(f"# Title\n\n{text}\n")
    assert "Two." in (tmp_path / "_build/html/index.html").read_text("utf-8")
    for name, html in each(tmp_path / "_build/html"):
        assert problems_policy(html) == [], name


def test_a_script_in_a_text_breaks_the_build(tmp_path: Path) -> None:
    source = small_book(tmp_path, f"Text.\n\n```{{raw}} html\n{SCRIPT}\n```\n")
    done = build(source, tmp_path)
    assert done.code != 0
    assert "index: a script in the text, which no browser will run" in done.err


# In a browser.


@pytest.fixture(scope="module")
def spoilt(browser: Browser, book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book with code smuggled into one of its pages, below and above."""
    copy = tmp_path_factory.mktemp("spoilt") / "book"
    shutil.copytree(book, copy)
    html = (copy / "index.html").read_text(encoding="utf-8")
    smuggled = SCRIPT + HANDLER + STYLE + LINK
    assert html.count("</article>") == html.count("</head>") == 1
    html = html.replace("</article>", f"{smuggled}</article>")
    (copy / "index.html").write_text(html.replace("</head>", f"{SCRIPT}</head>"), encoding="utf-8")
    return copy


@pytest.mark.parametrize("opened", ["http", "file"])
def test_what_is_smuggled_into_a_page_does_not_run(
    browser: Browser, spoilt: Path, opened: str
) -> None:
    with serve(spoilt, gzipped=False) as address:
        start = address if opened == "http" else f"{spoilt.as_uri()}/"
        with visit(browser, f"{start}index.html") as visited:
            visited.page.locator("#smuggled").click()
            assert smuggled_in(visited.page) == (False, False)
            # The page itself is as it was: its own scripts ran.
            assert visited.page.evaluate("document.body.dataset.theme") == "auto"
            assert sum("Content Security Policy" in said for said in problems_said(visited)) >= 4


def test_it_would_run_without_the_policy(browser: Browser, spoilt: Path) -> None:
    html = (spoilt / "index.html").read_text(encoding="utf-8")
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    (spoilt / "open.html").write_text(open_page, encoding="utf-8")
    with visit(browser, (spoilt / "open.html").as_uri()) as visited:
        assert smuggled_in(visited.page) == (True, True)


@pytest.mark.parametrize("smuggled", [SCRIPT, HANDLER, LINK])
def test_what_is_smuggled_into_a_saved_player_does_not_run(
    browser: Browser, tmp_path: Path, smuggled: str
) -> None:
    """As if a name had not been escaped."""
    path = tmp_path / "loop.html"
    loop().play().save(path)
    html = path.read_text(encoding="utf-8")
    assert problems_policy(html) == problems_loads(html) == []
    path.write_text(html.replace("<summary>", f"{smuggled}<summary>"), encoding="utf-8")
    with visit(browser, path.as_uri()) as visited:
        if smuggled == LINK:
            visited.page.locator("#smuggled").dispatch_event("click")
        assert smuggled_in(visited.page)[0] is False
        assert visited.page.locator(".rp-app").count() == 1  # the player itself runs
        assert any("Content Security Policy" in said for said in problems_said(visited))


def test_a_saved_player_keeps_to_its_policy(browser: Browser, tmp_path: Path) -> None:
    routine = loop(steps=3, clear=False)
    for name, html in {
        "one": player_page("One", routine.play().html),
        "two": player_page("Two", routine.play().html + routine.play(predict=True).html),
        "none": player_page("None", type(routine)("Net").play().html),
    }.items():
        (tmp_path / f"{name}.html").write_text(html, encoding="utf-8")
        with visit(browser, (tmp_path / f"{name}.html").as_uri()) as visited:
            for button in visited.page.locator(".rp-bar button:enabled").all():
                button.dispatch_event("click")
            assert problems_said(visited) == []


def smuggled_in(page: Page) -> tuple[bool, bool]:
    """Whether what was smuggled in ran, and whether it changed how the page looks."""
    ran, colour = page.evaluate(
        "() => [document.title === 'ran', getComputedStyle(document.querySelector('h1')).color]"
    )
    return ran, colour == "rgb(1, 2, 3)"
