"""No file is long; tests have rooms, and their README names them all; tools need no tests."""

from __future__ import annotations

import pytest

from tests import ROOT
from tests.package.running import run

ROOMS = {"package", "chapters", "pages", "project"}
TESTS = sorted(ROOT.glob("tests/**/test_*.py"))


def test_no_file_is_long() -> None:
    which = ["--cached", "--others", "--exclude-standard", "*.py", "*.js", "*.css"]
    names = run(ROOT, "git", "ls-files", *which).well().out.split()
    files = [path for path in map(ROOT.joinpath, names) if path.exists()]
    assert len(files) > 200
    for path in files:
        length = len(path.read_text(encoding="utf-8").splitlines())
        assert length <= (500 if path.is_relative_to(ROOT / "tests") else 300), path


def test_tests_have_rooms() -> None:
    assert {path.relative_to(ROOT / "tests").parts[0] for path in TESTS} == ROOMS


def test_the_readme_of_the_tests_names_them_all(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--times"):
        pytest.skip("this run writes it")
    readme = (ROOT / "tests/README.md").read_text(encoding="utf-8")
    for room in {path.parent for path in TESTS}:
        listed = readme.partition(f"\n## {room.relative_to(ROOT)}\n")[2].partition("\n## ")[0]
        there = [path.name for path in TESTS if path.parent == room]
        assert [line.split(" | ")[0][2:] for line in listed.splitlines()[5:] if line] == there


def test_tools_need_no_tests() -> None:
    for folder in "tools", "benchmarks", "book", "companion":
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "from tests" not in text, path
            assert "import tests" not in text, path
