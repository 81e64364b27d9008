"""--stop, --json, --html, -m: what they do, and what ends a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.package.command.running import (
    BROKEN,
    LOOP,
    SETUP,
    STEP,
    Start,
    indented,
    without_us,
)
from tests.package.running import forks, python, write


def test_stop(start: Start, tmp_path: Path) -> None:
    write(tmp_path, SETUP + "try:\n" + indented(LOOP) + "finally:\n    print('cleaned up')\n")
    ran = start("--stop", "--steps", "1", "script.py").well()
    assert [line.split()[:2] for line in ran.out.splitlines()] == [["step", "0"], ["cleaned", "up"]]
    assert ran.err.startswith("companion: watched 1 step, no findings")
    write(tmp_path, BROKEN["scheduler-first"]["script.py"])
    ran = start("--stop", "--steps", "2", "script.py")
    assert ran.code == 3
    assert len(ran.out.splitlines()) == 2
    write(tmp_path, BROKEN["other-parameters"]["script.py"].replace("range(6)", "range(99)"))
    ran = start("--stop", "script.py")  # no line of it ever moves a watched parameter
    assert ran.code == 3
    assert len(ran.out.splitlines()) < 20


SAYS = "    import sys; print('step', step, file=sys.stderr)\n"


@pytest.mark.parametrize("most", [100_000, 600])
def test_the_report_comes_when_watching_ends(start: Start, tmp_path: Path, most: int) -> None:
    """While the script goes on; where more steps were asked for than fit, it says so then."""
    few = f"import companion.tracing.extent as extent\nextent.MOST_LINES = {most}\n"
    write(tmp_path, few + SETUP + f"for step in range(350):\n{SAYS}{STEP}")
    said = start("--steps", "200", "script.py").well().err.splitlines()
    (at,) = (i for i, line in enumerate(said) if line.startswith("companion: watched "))
    assert said[at].startswith("companion: watched 200 steps") is (most > 600)
    assert said.index("step 80") < at < said.index("step 349")
    why = f"companion: not watched: the rest: only the first {most} lines are watched"
    told = [i for i, line in enumerate(said) if line == why]
    assert len(told) == (most == 600)
    assert all(at < i < said.index("step 349") for i in told)


def test_stop_is_caught(start: Start, tmp_path: Path) -> None:
    text = indented(STEP) + "    except:\n        print('caught')\n"
    write(tmp_path, SETUP + "for step in range(7):\n    try:\n" + text)
    ran = start("--stop", "--steps", "2", "script.py").well()
    assert [line.split()[0] for line in ran.out.splitlines()] == ["step"] * 2 + ["caught"] * 5
    assert ran.err.count("the script caught the SystemExit of --stop") == 1


def test_json(start: Start, tmp_path: Path) -> None:
    """It is written where the command was given, wherever the script goes."""
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path, "import os\nos.chdir('elsewhere')\n" + SETUP + LOOP)
    start("--steps", "2", "--json", "report.json", "script.py")
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    wanted = {"script": "script.py", "steps": 2, "lines": 12, "findings": [], "unwatched": []}
    assert {name: report[name] for name in wanted} == wanted
    guard, code = report["guard"], report["code"]
    assert 1 <= guard.pop("checked") <= 4
    assert guard == {"steps": 4, "seen": []}
    assert [line["runs"] for line in code] == 6 * [2]
    (loss,) = (line["values"]["loss"] for line in code if "loss" in line["values"])
    assert [type(number) for number in loss] == [float, float]


def test_html(start: Start, tmp_path: Path) -> None:
    """A page that plays the watched steps; none where nothing was watched."""
    write(tmp_path, SETUP + LOOP)
    start("--steps", "2", "--html", "loop.html", "script.py").well()
    page = (tmp_path / "loop.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("data-place=") == 12
    write(tmp_path, "print(1)")
    start("--html", "none.html", "script.py")
    assert not (tmp_path / "none.html").exists()


def test_stdout_closed(start: Start, tmp_path: Path) -> None:
    """As in `python -m companion script.py | head -1`."""
    write(tmp_path, SETUP + LOOP)
    alone = start("script.py", alone=True, closed=True)
    ran = start("script.py", closed=True)
    assert ran.code == alone.code != 0
    assert ran.err.startswith("companion: watched ")
    assert ran.err.splitlines()[-1] == alone.err.splitlines()[-1]


# Modules, signals, and other tracers.


def test_interrupted(tmp_path: Path) -> None:
    """Python ends itself by the signal, which no fork of another process shows."""
    write(
        tmp_path,
        "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n",
    )
    alone = python(tmp_path, "script.py")
    ran = python(tmp_path, "-m", "companion", "script.py")
    assert ran.code == alone.code
    assert ran.err.splitlines()[1:] == alone.err.splitlines()


def test_module(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "", "package/__init__.py")
    write(tmp_path, "from . import engine\nengine.run()\nprint(__file__)\n", "package/__main__.py")
    write(tmp_path, SETUP + "def run():\n" + indented(LOOP), "package/engine.py")
    write(tmp_path, "import sys\nprint(__spec__.name, sys.argv)\n1 / 0\n", "package/fails.py")
    ran = start("-m", "package").well()
    assert len(ran.out.splitlines()) == 7
    assert ran.out.endswith(str(tmp_path / "package/__main__.py") + "\n")
    assert ran.err.startswith("companion: watched 3 steps, no findings")
    assert "engine.py" in ran.err
    for name in "package.fails", "package.none", "none":
        alone = python(tmp_path, "-m", name, "-m", "x")
        ran = start("-m", name, "-m", "x")
        assert (ran.code, ran.out) == (alone.code, alone.out)
        assert without_us(ran.err) == alone.err.splitlines()


def test_coverage_goes_on(tmp_path: Path) -> None:
    write(tmp_path, SETUP + LOOP)
    command = ["coverage", "run", "-m", "companion", "script.py"]
    ran = forks().run(tmp_path, *command, how="module").well()
    assert "companion: watched 3 steps, no findings" in ran.err
    report = ["json", "-q", "-o", "report.json", "--include=script.py"]
    forks().run(tmp_path, "coverage", *report, how="module")
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["files"]["script.py"]["missing_lines"] == []
