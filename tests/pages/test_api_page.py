"""The page of the package: every public name, its signature, its example, its source."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import companion
from tests import ROOT
from tests.package.running import forks

API = (ROOT / "book/api.md").read_text(encoding="utf-8")


# The page of the package.

PUBLIC = re.findall(r"^\.\. auto(?:function|class):: companion\.(\w+)$", API, flags=re.M)


def test_the_page_lists_what_is_public_and_nothing_else() -> None:
    assert sorted(PUBLIC) == sorted(companion.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_an_example_that_is_executed(
    name: str, pytestconfig: pytest.Config
) -> None:
    one = getattr(companion, name)
    module = importlib.import_module(one.__module__)
    (own,) = doctest.DocTestFinder(recurse=False).find(one, name, module=module)
    assert own.examples
    assert not any(doctest.SKIP in example.options for example in own.examples)
    assert "Example:" in (one.__doc__ or "")  # what the page calls so
    assert {"--doctest-modules", "companion"} <= {
        *pytestconfig.getini("addopts"),
        *pytestconfig.getini("testpaths"),
    }


def test_the_page_shows_what_the_command_says(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```text\n(usage: .*?)^```$", API, flags=re.M | re.S)
    variables = {"COLUMNS": "80", "NO_COLOR": "1"}
    assert shown == forks().run(tmp_path, "--help", how="command", variables=variables).out


def test_every_public_name_has_a_link_to_its_source(book: Path) -> None:
    page = (book / "api.html").read_text(encoding="utf-8")
    for name in PUBLIC:
        one = getattr(companion, name)
        source = f"_modules/{one.__module__.replace('.', '/')}.html"
        entry = page[page.index(f'id="companion.{name}"') :].partition("</dt>")[0]
        assert f'href="{source}#{name}"' in entry
        code = (book / source).read_text(encoding="utf-8")
        assert f'id="{name}"' in code


def test_types_are_short_and_defaults_are_written_out(book: Path) -> None:
    """What `_ext/short_types.py` is for."""
    page = (book / "api.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", page)
    assert "gradients (Mapping[str, Reading | None])" in text
    assert "collections.abc" not in text
    assert "factory" not in text
    assert 'href="#companion.Reading"' in page
