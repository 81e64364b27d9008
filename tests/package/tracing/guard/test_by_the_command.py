"""`python -m companion train.py`: what it says when the script is over."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from companion import Trace
from tests.package.command.running import LOOP, SETUP, Start
from tests.package.running import Ran, forks, write

# Long enough to be looked at by the clock, on any machine.
LONG = LOOP.replace("range(6)", "range(1, 2001)").replace(
    "    loss.backward()\n",
    '    if step == 40:\n        loss = loss * float("nan")\n    loss.backward()\n',
)
SAID = re.compile(
    "^companion: guard: optimizer, (?:by )?step (\\d+): the gradient of 0.weight has NaN in it, "
    "and 3 more of 4 gradients are not finite",
    re.MULTILINE,
)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")

    def run(*arguments: str, alone: bool = False) -> Ran:
        return forks().run(tmp_path, *arguments, how="script" if alone else "command")

    return run


def told(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())["guard"]


@pytest.mark.parametrize("way", ["as it is", "in a function", "raises"])
def test_nan_at_step_40(way: str, start: Start, tmp_path: Path) -> None:
    text = SETUP + LONG
    if way == "in a function":
        text = "def main():\n" + "".join(f"    {line}\n" for line in text.splitlines()) + "main()\n"
    elif way == "raises":
        text += "1 / 0\n"
    write(tmp_path, text)
    alone = start("script.py", alone=True)
    ran = start("--json", "report.json", "script.py")
    assert (ran.code, ran.out) == (alone.code, alone.out)
    assert ran.err.startswith("companion: watched 3 steps, no findings\n")
    (step,) = map(int, SAID.findall(ran.err))
    assert 40 <= step < 2000
    assert ran.err.count("guard") == 1
    guard = told(tmp_path)
    (seen,) = guard["seen"]
    assert guard["steps"] == 1997
    assert 2 <= guard["checked"] <= step - 3
    assert (seen["kind"], seen["optimizer"], seen["step"], seen["parameter"]) == (
        "not-finite", "optimizer", step, "0.weight",
    )  # fmt: skip


@pytest.mark.parametrize("option", ["--no-guard", "--stop"])
def test_without(option: str, start: Start, tmp_path: Path) -> None:
    write(tmp_path, SETUP + LONG)
    ran = start(option, "--json", "report.json", "script.py").well()
    assert "guard" not in ran.err
    assert told(tmp_path) is None


def test_nothing_seen_nothing_said(start: Start, tmp_path: Path) -> None:
    write(tmp_path, SETUP + LONG.replace("== 40", "== 0"))
    ran = start("--json", "report.json", "script.py").well()
    assert "guard" not in ran.err
    guard = told(tmp_path)
    assert guard["steps"] == 1997
    assert guard["seen"] == []
    write(tmp_path, "print(1)")
    start("--json", "report.json", "script.py").well()
    assert told(tmp_path) is None


def test_a_trace_that_is_loaded_has_none(tmp_path: Path) -> None:
    Trace("Net", guard=["sgd, step 4: something"]).save(tmp_path / "trace.json")
    assert Trace.load(tmp_path / "trace.json").guard == []
