"""What is reported, and what fails: comments, --select, --ignore, --fail-on, pyproject.toml."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.package.command.running import BROKEN, LOOP, SETUP, Start
from tests.package.running import write

TWO = (
    SETUP + "total = 0\n" + LOOP.replace("    optimizer.zero_grad()\n", "") + "    total += loss\n"
)
POSSIBLE = (
    SETUP
    + """
for step in range(6):
    optimizer.zero_grad()
    for part in range(2):
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
    optimizer.step()
"""
)


def reported(folder: Path, start: Start, *options: str) -> tuple[list[str], list[list[str]], int]:
    """The rules that are reported, those that are ignored and by what, and the exit code."""
    ran = start("--json", "report.json", *options, "script.py")
    report = json.loads((folder / "report.json").read_text())
    assert report["exit"]["command"] == ran.code
    assert report["exit"]["code"] == 0
    ignored = [[one["rule"], one["by"]] for one in report["ignored"]]
    for rule, by in ignored:
        assert f"{rule}, line " in ran.err.split("companion: ignored ")[1]
        assert f"({by})" in ran.err
    return [one["rule"] for one in report["findings"]], ignored, ran.code


def test_select_and_ignore(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TWO)
    both = ["accumulates", "graph-kept"]
    assert reported(tmp_path, start) == (both, [], 3)
    one = (["graph-kept"], [["accumulates", "--ignore"]], 3)
    assert reported(tmp_path, start, "--ignore", "accumulates") == one
    one = (["graph-kept"], [["accumulates", "--select"]], 3)
    assert reported(tmp_path, start, "--select", "graph-kept") == one
    none: tuple[list[str], list[list[str]], int] = ([], [[rule, "--ignore"] for rule in both], 0)
    assert reported(tmp_path, start, "--ignore", ",".join(both)) == none
    assert reported(tmp_path, start, "--ignore", both[0], "--ignore", both[1]) == none


def test_a_comment(start: Start, tmp_path: Path) -> None:
    write(
        tmp_path,
        TWO.replace("loss.backward()", "loss.backward()  # companion: ignore[accumulates]").replace(
            "total += loss", "total += loss  # companion: ignore[graf-kept]"
        ),
    )
    one = (["graph-kept"], [["accumulates", "a comment"]], 3)
    assert reported(tmp_path, start) == one
    ran = start("script.py")
    assert "companion: ignored 1 finding: accumulates, line 10 (a comment)\n" in ran.err
    assert "companion: the comment on line 13 ignores nothing: no rule is called" in ran.err
    write(tmp_path, TWO.replace("loss\n", "loss  # companion: ignore\n"))
    assert reported(tmp_path, start)[:2] == (["accumulates"], [["graph-kept", "a comment"]])


MARK = "  # companion: ignore[{}]"


def commented(text: str, line: str, *rules: str) -> str:
    """The script with a comment on a line that names these rules."""
    assert text.count(line) == 1
    return text.replace(line, line + MARK.format(", ".join(rules)))


NOTHING = "companion: the comment on line 13 ignores nothing: "
STEPS = TWO.replace("total += loss", "pass")
# A script, its options, and what is said of its comments.
UNUSED = {
    "the rule speaks on another line": (
        commented(TWO, "total += loss", "accumulates", "graph-kept"),
        "",
        ["accumulates found nothing there, but on line 10"],
    ),
    "and on another step alone": (
        commented(TWO, "total += loss", "accumulates", "graph-kept"),
        "--steps 1",
        [],
    ),
    "it is right": (commented(TWO, "total += loss", "graph-kept"), "", []),
    "it would have spoken": (
        commented(SETUP + LOOP + "    pass\n", "    pass", "softmax-twice", "not-finite"),
        "",
        ["softmax-twice found nothing there in the watched steps"],
    ),
    "in fewer steps it might not": (
        commented(SETUP + LOOP + "    pass\n", "    pass", "accumulates"),
        "--steps 2",
        [],
    ),
    "nor in steps apart": (
        commented(SETUP + LOOP + "    pass\n", "    pass", "accumulates"),
        "--every 2",
        [],
    ),
    "all steps were watched": (
        commented(SETUP + LOOP + "    pass\n", "    pass", "not-finite", "eval-mode"),
        "--steps 6",
        ["eval-mode found nothing there", "not-finite found nothing there"],
    ),
    "the line never ran": (
        commented(TWO + "    if step > 9:\n        pass\n", "        pass", "accumulates"),
        "",
        [],
    ),
    "the script goes on behind our back": (
        commented(STEPS, "    pass", "accumulates") + "raise SystemExit(1)\n",
        "",
        [],
    ),
    "it is found between ranks": (
        commented(SETUP + LOOP + "    pass\n", "    pass", "not-synchronised"),
        "--steps 6",
        [],
    ),
    "another speaks for it": (
        commented(STEPS.replace("step()", "step"), "    pass", "never-steps", "discarded"),
        "--steps 6",
        [],
    ),
}


@pytest.mark.parametrize("name", UNUSED)
def test_a_comment_on_the_wrong_line(name: str, start: Start, tmp_path: Path) -> None:
    """It is said as of a rule that there is not, where it is sure."""
    text, options, said = UNUSED[name]
    write(tmp_path, text)
    err = start(*options.split(), "script.py").err
    assert [line for line in err.splitlines() if "ignores nothing" in line] == [
        f"{NOTHING}{words}" for words in said
    ]


def test_fail_on(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TWO)
    assert start("--fail-on", "never", "script.py").code == 0
    write(tmp_path, POSSIBLE)
    found = start("script.py")
    assert "possible: accumulation-not-divided" in found.err
    assert found.code == 0
    assert start("--fail-on", "possible", "script.py").code == 3
    launched = {"WORLD_SIZE": "2"}
    assert start("--fail-on", "possible", "script.py", variables=launched).code == 0


def test_every(start: Start, tmp_path: Path) -> None:
    write(tmp_path, SETUP + LOOP.replace("range(6)", "range(40)"))
    ran = start("--every", "10", "--json", "report.json", "script.py").well()
    assert ran.err.startswith("companion: watched 3 steps, one in 10, no findings\n")
    assert len(ran.out.splitlines()) == 40
    report = json.loads((tmp_path / "report.json").read_text())
    losses = [float(line.split()[2]) for line in ran.out.splitlines()]
    (bound,) = (line["values"]["loss"] for line in report["code"] if "loss" in line["values"])
    assert bound == losses[:30:10]
    assert report["every"] == 10
    assert "not watched" not in ran.err


def test_every_of_too_few_steps(start: Start, tmp_path: Path) -> None:
    """It says how many there were, and what shows more of them: that is so."""
    few = "companion: 3 steps were to be watched, and fewer may hide what is wrong: --every"
    for steps, cure, shown in (16, 7, 3), (5, 2, 3), (2, 1, 2):
        write(tmp_path, SETUP + LOOP.replace("range(6)", f"range({steps})"))
        ran = start("--every", "100", "script.py").well()
        first, second, *_ = ran.err.splitlines()
        assert first == f"companion: watched 1 step of {steps}, one in 100, no findings"
        assert second == f"{few} {cure} watches {shown} of {steps}"
        again = start("--every", str(cure), "script.py").well().err
        some = f", one in {cure}" if cure > 1 else ""
        assert again.startswith(f"companion: watched {shown} steps{some}, no findings\nTrace of ")
    assert few not in start("--every", "100", "--steps", "1", "script.py").well().err


PYPROJECT = """
[project]
name = "mine"
[tool.companion]
ignore = ["graph-kept"]
steps = 4
"""
NEEDS_TOML = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 has no reader of TOML"
)


@NEEDS_TOML
def test_pyproject(start: Start, tmp_path: Path) -> None:
    """The nearest that has the table, from the script upward; the command line comes first."""
    write(tmp_path, PYPROJECT, "pyproject.toml")
    write(tmp_path, "[tool.other]\nx = 'companion'\n", "inner/pyproject.toml")
    write(tmp_path, TWO, "inner/script.py")
    script = "inner/script.py"
    ran = start(script)
    assert ran.code == 3
    assert ran.err.startswith("companion: watched 4 steps, 1 finding\n")
    assert "graph-kept, line 13 (pyproject.toml)" in ran.err
    ran = start("--steps", "3", "--ignore", "accumulates", script).well()
    assert ran.err.startswith("companion: watched 3 steps, no findings\n")
    assert "accumulates, line 10 (--ignore); graph-kept, line 13 (pyproject.toml)" in ran.err
    write(tmp_path, '[tool.companion]\nfail-on = "never"\nguard = false\n', "inner/pyproject.toml")
    start("--json", "report.json", script).well()
    report = json.loads((tmp_path / "report.json").read_text())
    assert [one["rule"] for one in report["findings"]] == ["accumulates", "graph-kept"]
    assert report["guard"] is None
    each = '[tool.companion.per-file-ignores]\n"inner/*.py" = ["graph-kept", "accumulates"]\n'
    write(tmp_path, each, "pyproject.toml")
    (tmp_path / "inner/pyproject.toml").unlink()
    assert "ignored 2 findings" in start(script).well().err


@NEEDS_TOML
@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("[tool.companion]\nsteps = 0", "companion.steps: must be a whole number, 1 or more"),
        ("[tool.companion]\nsteps = true", "companion.steps: must be a whole number, 1 or more"),
        ("[tool.companion]\nstep = 1", "companion.step: no setting is called so; did you mean st"),
        ("[tool.companion]\nignore = 'no-batch'", "companion.ignore: must be a list of rules"),
        ("[tool.companion]\nignore = ['nobatch']", "no rule is called 'nobatch'; did you mean no-"),
        ("[tool.companion]\nguard = 1", "companion.guard: must be true or false, not 1"),
        ("[tool.companion]\nfail-on = 'x'", 'must be "certain", "possible" or "never", not \'x\''),
        ("[tool.companion]\nper-file-ignores = {'a.py' = 3}", "must be a list of rules"),
        ("[tool]\ncompanion = 3", "tool.companion must be a table"),
        ("[tool.companion", "is no valid TOML"),
    ],
)
def test_a_wrong_pyproject_is_said_in_one_line(
    said: str, words: str, start: Start, tmp_path: Path
) -> None:
    write(tmp_path, said, "pyproject.toml")
    write(tmp_path, "print(1)")
    ran = start("script.py")
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert f"{tmp_path / 'pyproject.toml'}" in ran.err
    assert words in ran.err


NO_READER = """
import sys
sys.modules["tomllib"] = sys.modules["tomli"] = None
from companion.__main__ import main
main(["script.py"])
"""


def test_without_a_reader_of_toml_it_is_said(start: Start, tmp_path: Path) -> None:
    """As on Python 3.10."""
    write(tmp_path, PYPROJECT, "pyproject.toml")
    write(tmp_path, BROKEN["scheduler-first"]["script.py"])
    write(tmp_path, NO_READER, "run.py")
    ran = start("run.py", alone=True)
    assert ran.code == 3
    assert "pyproject.toml is not read: Python 3.10 has no reader of TOML; python -m pip" in ran.err
