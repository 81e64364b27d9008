"""What the tests guarantee, where, and how long that took: `make times` writes `tests/README.md`.

What is guaranteed is said by the docstring on top of each room and each file; how many tests stand
for it, and their seconds, come from the run.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "tests/README.md"
OTHERS = {
    ".ipynb": "Every cell of every chapter, executed and compared by nbval, and every exercise.",
    ".py": "Examples in docstrings.",
}

HEAD = """\
# What is guaranteed where

Written by `make times` on {date}, from the docstrings of the tests and one run of {tests} tests:
{minutes:.1f} minutes with {workers} workers.
The seconds are those of a file's tests, with what was made for them; less than one is one.
"""


def first(path: Path) -> str:
    """The first paragraph of a file's docstring, on one line."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].split())


def row(name: str, said: str, tests: int, seconds: float) -> str:
    """A line of a table.

    >>> row("test_a.py", "All is well.", 3, 0.2)
    '| test_a.py | All is well. | 3 | 1 |'
    """
    return f"| {name} | {said} | {tests} | {max(1, round(seconds)) if tests else 0} |"


def table(runs: Iterable[tuple[str, float]], wall: float, workers: int) -> str:
    """The whole text, of a test's id and its seconds, once for each phase of it."""
    tests: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    seen = set()
    for nodeid, duration in runs:
        file = nodeid.partition("::")[0]
        seconds[file] += duration
        if nodeid not in seen:
            seen.add(nodeid)
            tests[file] += 1
    lines = [
        HEAD.format(
            date=f"{date.today():%Y-%m-%d}", tests=len(seen), minutes=wall / 60, workers=workers
        )
    ]
    # Those as well that this Python does not run: it has one source of events, or two.
    there = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py")}
    there |= {file for file in tests if file.startswith("tests/")}
    for room in sorted({Path(file).parent for file in there}):
        files = sorted(file for file in there if Path(file).parent == room)
        lines.append(f"## {room}\n\n{first(ROOT / room / '__init__.py')}\n")
        lines.append("| file | what holds | tests | seconds |\n|---|---|---|---|")
        lines += [
            row(Path(file).name, first(ROOT / file), tests[file], seconds[file]) for file in files
        ]
        lines.append("")
    lines.append("## Beside them\n\n| files | what holds | tests | seconds |\n|---|---|---|---|")
    for suffix, said in OTHERS.items():
        inside = [f for f in tests if f.endswith(suffix) and not f.startswith("tests/")]
        total = sum(seconds[file] for file in inside)
        lines.append(row(f"*{suffix}", said, sum(tests[file] for file in inside), total))
    return "\n".join(lines) + "\n"
