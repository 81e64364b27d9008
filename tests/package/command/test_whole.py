"""`python -m companion script.py`: what only the end of a script tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.package.command.running import LOOP as STEPS
from tests.package.command.running import SETUP, Start
from tests.package.command.whole import BROKEN, FROZEN, LOOP, SOUND, START
from tests.package.running import write


@pytest.mark.parametrize("kind", BROKEN)
def test_broken(kind: str, start: Start, tmp_path: Path) -> None:
    text, rule = BROKEN[kind]
    write(tmp_path, START + text, "script.py")
    ran = start("--json", "report.json", "script.py")
    report = json.loads((tmp_path / "report.json").read_text())
    (line,) = (n for n, one in enumerate((START + text).splitlines(), 1) if one.endswith("# <-"))
    (finding,) = report["findings"]
    said = finding["rule"] if finding["certain"] else f"({finding['rule']})"
    assert (said, finding["line"]) == (rule, line)
    assert ran.code == (3 if finding["certain"] else 0)
    assert f"{finding['rule']}, line {line}" in ran.err
    assert "no findings" not in ran.err or "now that the script is over, 1 finding\n" in ran.err


@pytest.mark.parametrize("kind", SOUND)
def test_sound(kind: str, start: Start, tmp_path: Path) -> None:
    text, words = SOUND[kind]
    write(tmp_path, START + text, "script.py")
    alone = start("script.py", alone=True)
    ran = start("--json", "report.json", "script.py")
    assert json.loads((tmp_path / "report.json").read_text())["findings"] == []
    assert (ran.code, ran.out) == (alone.code, alone.out) == (0, alone.out)
    assert words is None or words in ran.err
    if "step()" not in text:
        assert "no findings" not in ran.err


def test_all_is_frozen(start: Start, tmp_path: Path) -> None:
    write(tmp_path, START + FROZEN + LOOP, "script.py")
    ran = start("script.py")
    assert ran.code == 1
    assert "no step was seen: backward() was called once, and an optimizer's step()" in ran.err
    assert "\n\nno-gradient, line 19: loss.backward()\n" in ran.err
    assert ran.err.count("RuntimeError: element 0 of tensors does not require grad") == 2


def test_no_network(start: Start, tmp_path: Path) -> None:
    write(
        tmp_path,
        "import torch\nw = torch.ones(2, requires_grad=True)\nw.sum().backward()\n",
        "s.py",
    )
    ran = start("s.py")
    assert ran.err == (
        "companion: no training was watched: backward() ran once, and no network was found whose "
        "parameters it could reach\n"
    )


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "raise SystemExit(4)", "1 / 0"])
def test_only_a_script_that_ran_to_its_end_is_judged(
    end: str, start: Start, tmp_path: Path
) -> None:
    text, _ = BROKEN["no step"]
    write(tmp_path, f"{START}{text}{end}\n", "script.py")
    ran = start("script.py")
    assert ran.code == {"(0)": 3, "(4)": 4, "/ 0": 1}[end[-3:]]
    assert ("never-steps" in ran.err) == (ran.code == 3)


def test_a_backward_may_come_later(start: Start, tmp_path: Path) -> None:
    """Three steps without a gradient are no more than possible as long as the script goes on."""
    late = LOOP.replace("        loss.backward()", "        if epoch:\n            loss.backward()")
    write(tmp_path, START + late, "script.py")
    ran = start("--json", "report.json", "script.py")
    assert ran.code == 0
    assert "possible: no-backward" in ran.err
    assert json.loads((tmp_path / "report.json").read_text())["findings"] == []


def test_stopped(start: Start, tmp_path: Path) -> None:
    """With --stop nobody knows how the script would have ended."""
    write(tmp_path, SETUP.replace("lr=0.1", "lr=0.0") + STEPS, "script.py")
    ran = start("--stop", "script.py")
    assert ran.code == 0
    assert "possible: zero-lr" in ran.err
