"""The address of the repository: set by one command, the same wherever it stands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from tests import CHAPTERS, NAMES, ROOT
from tests.package.running import run
from tests.pages.building import build
from tests.project.addressed import PLACES, SITE, URL, address, copy, without


def texts(root: Path) -> dict[str, str]:
    paths = [*map(Path, PLACES), *(path.relative_to(ROOT) for path in CHAPTERS)]
    return {str(path): (root / path).read_text(encoding="utf-8") for path in paths}


def test_every_place_agrees(tmp_path: Path) -> None:
    """What is committed is what the command would write."""
    before = texts(copy(tmp_path))
    assert "written:    nothing, all agree" in address(tmp_path).well().out
    assert texts(tmp_path) == before
    assert len(before) == len(PLACES) + len(NAMES)


def test_a_place_that_was_edited_by_hand_is_put_right(tmp_path: Path) -> None:
    before = texts(copy(tmp_path))
    chapter = tmp_path / "book/03_computing_gradients.ipynb"
    chapter.write_text(chapter.read_text().replace("version(", "verzion("))
    assert "written:    book/03_computing_gradients.ipynb\n" in address(tmp_path).out
    assert texts(tmp_path) == before


@pytest.mark.parametrize("host", ["github.com", "git.example.org"])
def test_set_and_taken_out_again(tmp_path: Path, host: str) -> None:
    before = texts(without(tmp_path))
    url = URL.replace("github.com", host)
    assert not any(url in text for text in before.values())
    address(tmp_path, "--url", f"{url}/", "--site", SITE).well()
    after = texts(tmp_path)
    for name, text in after.items():
        assert url in text, name
        assert ("git+" in text) == (f"git+{url}@main" in text), name
        other_hosts = set(re.findall(r"https://[\w.-]+", text)) - set(
            re.findall(r"https://[\w.-]+", before[name])
        )
        buttons = {"https://mybinder.org", "https://colab.research.google.com"}
        assert other_hosts <= {f"https://{host}", "https://example.org", *buttons}, name
    assert ("colab" in after["README.md"].lower().split("\n## ")[0]) == (host == "github.com")
    for name in "README.md", "book/index.md":
        assert ("On Colab there is nothing to install" in after[name]) == (host == "github.com")
    assert SITE in after["CITATION.cff"]
    assert f'Homepage = "{SITE}"' in after["pyproject.toml"]

    again = address(tmp_path)
    assert "nothing, all agree" in again.out
    assert f"repository: {url}\n" in again.out
    address(tmp_path, "--url", "none", "--site", "none").well()
    assert texts(tmp_path) == before


@pytest.mark.parametrize(
    "url",
    [
        "github.com/owner/name",
        "http://github.com/owner/name",
        "git@github.com:owner/name",
        "https://github.com/owner",
        "https://github.com/owner/name/tree",
        "https://github.com/owner/..",
        "https://github.com:443/owner/name",
        "https://git.example.org/./name",
        "https://-/owner/name",
        "https://github.com/owner/name.git",
        "https://someone:secret@github.com/owner/name",
        "https://github.com/owner/na me",
        'https://github.com/owner/name"; import os #',
        "https://github.com/owner/name\n",
    ],
)
def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    before = texts(copy(tmp_path))
    done = address(tmp_path, "--url", url)
    assert done.code == 1
    assert done.err == (
        f"make address: not the address of a repository: {url!r}; "
        "write it as https://HOST/OWNER/NAME, without .git, a user or a password\n"
    )
    assert texts(tmp_path) == before


def test_a_branch_or_site_that_is_none_is_refused(tmp_path: Path) -> None:
    copy(tmp_path)
    refused = {
        "branch": ["a b", "a..b", "x/", "/x", "a//b", "x.lock", "x.lock/y", ".a", "a.", "-a"],
        "site": [
            "example.org",
            "https://x.org:80:80/",
            "https://x.org/../y/",
            "https://x.org/a b/",
            "https://x:y@x.org/",
        ],
    }
    for what, values in refused.items():
        for value in values:
            done = address(tmp_path, f"--{what}={value}")
            assert done.code == 1, value
            assert re.match(rf"make address: not the (name|address) of a {what}: ", done.err)
            assert value in done.err


def test_a_branch_is_text_whatever_yaml_would_make_of_it(tmp_path: Path) -> None:
    copy(tmp_path)
    for branch in "no", "true", "null", "007", "1.10", "feature/x":
        address(tmp_path, "--url", URL, "--branch", branch).well()
        config = yaml.safe_load((tmp_path / "_config.yml").read_text(encoding="utf-8"))
        assert config["sphinx"]["config"]["course_branch"] == branch
        assert f"branch:     {branch}\n" in address(tmp_path).out
        for name in "README.md", "book/index.md", f"book/{NAMES[0]}.ipynb":
            text = (tmp_path / name).read_text(encoding="utf-8")
            assert re.search(rf"git\+{URL}@{branch}\\?\"", text), name


def test_a_site_without_https_is_taken_with_it(tmp_path: Path) -> None:
    """So GitHub reports one; it must not stop what publishes."""
    copy(tmp_path)
    done = address(tmp_path, "--site", "http://Example.org/course").well()
    assert done.out.startswith(f"site:       http://Example.org/course is taken as {SITE[:-1]}\n")
    assert f"site:       {SITE}\n" in done.out
    assert "http://" not in (tmp_path / "CITATION.cff").read_text(encoding="utf-8")


def test_none_takes_out_the_site_too(tmp_path: Path) -> None:
    before = texts(without(tmp_path))
    address(tmp_path, "--url", URL, "--branch", "published", "--site", SITE)
    assert texts(tmp_path) != before
    address(tmp_path, "--url", "none").well()
    assert texts(tmp_path) == before


def test_a_host_is_written_small(tmp_path: Path) -> None:
    """github.com by another name would lose its buttons."""
    copy(tmp_path)
    done = address(tmp_path, "--url", URL.replace("https://github.com", "HTTPS://GitHub.com"))
    assert f"repository: {URL}\n" in done.out


def test_make_hands_the_address_on_untouched(tmp_path: Path) -> None:
    """Also what a shell would read otherwise."""
    copy(tmp_path)
    for url, expected in {URL: 0, "https://h.org/a/b';touch x;'": 2, "$(touch x)": 2}.items():
        told = f"URL={url.replace('$', '$$')}"
        done = run(tmp_path, "make", "address", told, f"PYTHON={sys.executable}")
        assert done.code == expected, done.err
        assert url.partition(" ")[0] in done.out + done.err
    assert not (tmp_path / "x").exists()


def test_every_chapter_has_the_same_first_cell() -> None:
    for path in CHAPTERS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        first = next(cell for cell in cells if cell["cell_type"] == "code")
        assert first["metadata"]["tags"] == ["setup", "remove-cell"], path.name
        assert first["outputs"] == []


def buttons(page: Path) -> dict[str, str]:
    """The links above a chapter's text: {words: link}."""
    html = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    return {link.get_text(): str(link["href"]) for link in html.select(".page-actions a")}


def test_without_an_address_there_is_only_the_download(book: Path, tmp_path: Path) -> None:
    if "repository: not set" not in address(copy(tmp_path / "committed")).out:
        root = without(tmp_path / "without")
        build(root / "book", root, root=root).well()
        book = root / "_build/html"
    for name in NAMES:
        assert list(buttons(book / f"{name}.html")) == ["Download notebook"]
    assert "Colab" not in (book / "index.html").read_text(encoding="utf-8")


def test_buttons_open_the_right_file(published: Path) -> None:
    for page in (published / f"{name}.html" for name in NAMES):
        path = f"book/{page.stem}.ipynb"
        assert (ROOT / path).exists()
        offered = buttons(page)
        assert offered == {
            "Download notebook": f"_sources/{page.stem}.ipynb",
            "Open in Colab": "https://colab.research.google.com/github/no.owner/no-name/blob/"
            f"published/{path}",
            "Open in Binder": "https://mybinder.org/v2/gh/no.owner/no-name/published"
            f"?urlpath=lab%2Ftree%2F{path.replace('/', '%2F')}",
        }
        downloaded = (page.parent / offered["Download notebook"]).read_text(encoding="utf-8")
        assert f"git+{URL}@published" in downloaded
    index = (published / "index.html").read_text(encoding="utf-8")
    assert f"git+{URL}@published" in index
