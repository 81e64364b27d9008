"""No file is long, and every file that is code stands in a room."""

from __future__ import annotations

import subprocess

from tests import ROOT

# companion's own limit is pinned in tests/package/test_layout.py, beside its rooms.
LONGEST = {"book": 300, "benchmarks": 300, "tools": 300, "tests": 500}
ROOMS = {"package", "chapters", "pages", "project"}


def test_no_file_is_long() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.js", "*.css"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    files = [path for path in map(ROOT.joinpath, tracked) if path.exists()]
    assert len(files) > 200
    for path in files:
        room = path.relative_to(ROOT).parts[0]
        length = len(path.read_text(encoding="utf-8").splitlines())
        assert length <= LONGEST.get(room, 300), f"{path}: {length} lines"


def test_tests_have_rooms() -> None:
    tests = [path.relative_to(ROOT / "tests").parts for path in ROOT.glob("tests/**/test_*.py")]
    assert {path[0] for path in tests} == ROOMS


def test_tools_need_no_tests() -> None:
    for folder in "tools", "benchmarks", "book", "companion":
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "from tests" not in text, path
            assert "import tests" not in text, path
