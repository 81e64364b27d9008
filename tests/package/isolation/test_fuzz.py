"""Scripts made at random end as they do alone, by the command and with trace().

These are the first of those that `python -m tests.package.isolation.fuzzing` makes by thousands.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.package.isolation.fuzzing.running import Ran, compare, runner
from tests.package.isolation.fuzzing.script import recipe, write

SEEDS = {"daily": range(25), "weekly": range(25, 60)}


@pytest.mark.parametrize("when", ["daily", pytest.param("weekly", marks=pytest.mark.weekly)])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_scripts_end_as_they_do_alone(when: str, tmp_path: Path) -> None:
    different = []
    with runner(tmp_path) as runs:
        for seed in SEEDS[when]:
            script = write(recipe(seed))
            for mode, words in runs.differences(script).items():
                print(f"{script}\nseed {seed}, {mode}:\n{words}\n")
                different.append(f"{seed} ({mode})")
    assert not different, f"differ when they are watched: seeds {', '.join(different)}"


def test_scripts_are_python() -> None:
    for seed in range(500):
        compile(write(recipe(seed)), f"seed {seed}", "exec")


ALONE = Ran("alone", 0, "one\n", "warned\n", "")


@pytest.mark.parametrize(
    ("watched", "words"),
    [
        (ALONE, ""),
        (ALONE._replace(mode="command", code=3, certain=True), ""),
        (ALONE._replace(mode="command", code=3), "ends with exit code 3, alone with exit code 0"),
        (ALONE._replace(mode="trace", code=3, certain=True), "ends with exit code 3"),
        (ALONE._replace(code=-11), "a segmentation fault"),
        (ALONE._replace(code=1000), "no end"),
        (ALONE._replace(out="two\n"), "stdout:\n  -one\n  +two"),
        (ALONE._replace(err=""), "stderr:\n  -warned"),
        (ALONE._replace(left="trace function: f\n"), "left behind:\n  +trace function: f"),
    ],
)
def test_what_counts_as_a_difference(watched: Ran, words: str) -> None:
    found = compare(ALONE, watched)
    assert (words in found) if words else not found
