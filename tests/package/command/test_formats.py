"""The report for programs: JSON by its schema, SARIF 2.1.0, GitHub's annotations."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from companion.records import version
from companion.records.finding import Finding
from companion.render.finding import as_text
from companion.render.narrow import folded
from tests.package.command.running import LOOP, SETUP, Start
from tests.package.running import write

TWO = (
    SETUP + "total = 0\n" + LOOP.replace("    optimizer.zero_grad()\n", "") + "    total += loss\n"
)
SCHEMAS = {
    "json": files("companion.command.formats") / "report.schema.json",
    "sarif": Path(__file__).with_name("sarif.schema.json"),
}


def checked(path: Path, kind: str) -> dict[str, Any]:
    """A file, held against the schema of its kind."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMAS[kind].read_text(encoding="utf-8"))
    checker = jsonschema.Draft202012Validator
    checker.check_schema(schema)
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    checker(schema, format_checker=checker.FORMAT_CHECKER).validate(report)
    return report


# How a script ends → what the report says of it.
ENDS = {
    "well": ("", {"code": 0, "raised": None, "stopped": False, "command": 3}),
    "with a code": (
        "raise SystemExit(7)",
        {"code": 7, "raised": None, "stopped": False, "command": 7},
    ),
    "with an exception": (
        "{}['x']",
        {"code": 1, "raised": "KeyError: 'x'", "stopped": False, "command": 1},
    ),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None),
}


@pytest.mark.parametrize("how", ENDS)
def test_json(how: str, start: Start, tmp_path: Path) -> None:
    """All that was seen; it is there, too, where the script is killed after the watched steps."""
    last, end = ENDS[how]
    write(tmp_path, TWO + last)
    start("--format", "json", "--output", "report.json", "--json", "other.json", "script.py")
    report = checked(tmp_path / "report.json", "json")
    assert report == json.loads((tmp_path / "other.json").read_text())
    assert report["exit"] == end
    assert report["versions"].keys() == {"companion", "torch", "python"}
    assert report["script"] == "script.py"
    found = [(one["rule"], one["place"], one["explain"]) for one in report["findings"]]
    assert found[0] == ("accumulates", "line 10", "companion explain accumulates")
    for finding in report["findings"]:
        assert report["records"][finding["index"]]["line"] == finding["line"]
    runs = [line["runs"] for line in report["code"]]
    later = report["later"]
    assert sum(runs) == report["lines"] + later["lines"] == len(report["records"])
    assert (report["steps"], report["lines"]) == (3, 18)
    assert later == {"steps": 0, "lines": int(how == "with a code")}  # the line that ends it
    assert report["made"] == (3 if how == "killed" else 6)


LATER = TWO + "    if step % 5 == 4:\n        print('a line that is new')\n"


@pytest.mark.parametrize("steps", ["2", "3"])
def test_both_forms_count_the_same(start: Start, tmp_path: Path, steps: str) -> None:
    """Lines that are watched later are counted apart, and a finding stays as it was said."""
    write(tmp_path, LATER.replace("range(6)", "range(20)"))
    ran = start("--steps", steps, "--json", "report.json", "script.py")
    report = checked(tmp_path / "report.json", "json")
    counted = re.search(r", (\d+) lines run in (\d+) steps\n", ran.err)
    assert counted is not None
    assert (report["lines"], report["steps"]) == (int(counted[1]), int(counted[2]))
    assert report["steps"] == int(steps)
    assert report["later"]["steps"] >= 1
    assert report["later"]["lines"] == len(report["records"]) - report["lines"] > 0
    assert report["made"] == 20
    said = re.findall(r"^([a-z-]+), line \d+(?:, (\d+) times)?: ", ran.err, re.M)
    assert said == [
        (one["rule"], str(one["times"]) if one["times"] > 1 else "") for one in report["findings"]
    ]


def test_json_where_nothing_was_watched(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "print(1)")
    start("--json", "report.json", "script.py").well()
    report = checked(tmp_path / "report.json", "json")
    assert (report["steps"], report["records"], report["exit"]["code"]) == (0, [], 0)


def test_stopped(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TWO)
    start("--stop", "--json", "report.json", "script.py")
    told = checked(tmp_path / "report.json", "json")["exit"]
    assert (told["stopped"], told["command"]) == (True, 3)


def test_sarif(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TWO.replace("total += loss", "total += loss  # companion: ignore"), "a b/x.py")
    start("--format", "sarif", "--output", "report.sarif", "a b/x.py")
    (run,) = checked(tmp_path / "report.sarif", "sarif")["runs"]
    first, second = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "a b/x.py"
    assert place["region"] == {"startLine": 10}
    assert first["level"] == "error"
    assert "suppressions" not in first
    assert second["suppressions"] == [{"kind": "inSource", "justification": "a comment"}]
    rules = run["tool"]["driver"]["rules"]
    for one in run["results"]:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 0}]


def read_by_a_runner(line: str) -> tuple[str, dict[str, str], str]:
    """A command as GitHub's runner reads it: its name, its properties, its message."""
    match = re.fullmatch(r"::(\w+)(?: (.*?))?::(.*)", line)
    assert match is not None, line
    name, properties, words = match.groups()
    pairs = dict(one.split("=", 1) for one in (properties or "").split(","))
    escapes = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}

    def unescaped(text: str, *, data: bool = False) -> str:
        for code, character in escapes.items():
            text = text if data and character in ":," else text.replace(code, character)
        return text

    return name, {k: unescaped(v) for k, v in pairs.items()}, unescaped(words, data=True)


def test_github(start: Start, tmp_path: Path) -> None:
    """Annotations come last, on stderr: the runner reads both streams, and stdout is whole."""
    odd = "a,b:50%0A/script.py"
    write(tmp_path, TWO + "print('::error::mine', end='')\n", odd)
    alone = start(odd, alone=True)
    ran = start("--format", "github", odd)
    assert ran.out == alone.out
    *report, first, second = ran.err.splitlines()
    assert report[0] == "companion: watched 3 steps, 2 findings"
    assert not any(line.startswith("::") for line in report)
    name, place, words = read_by_a_runner(first)
    assert name == "error"
    assert place == {"file": odd, "line": "10", "title": "companion: accumulates"}
    assert "\nExplained by: companion explain accumulates" in words
    assert "Cure: optimizer.zero_grad()" in words
    assert read_by_a_runner(second)[1]["line"] == "13"
    variables = {"GITHUB_WORKSPACE": str(tmp_path.parent)}
    err = start("--format", "github", odd, variables=variables).err
    assert read_by_a_runner(err.splitlines()[-1])[1]["file"] == f"{tmp_path.name}/{odd}"
    start("--format", "github", "--output", "lines.txt", odd)
    assert (tmp_path / "lines.txt").read_text().splitlines() == [first, second]


def test_text(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TWO)
    ran = start("--format", "text", "--output", "report.txt", "script.py")
    assert (tmp_path / "report.txt").read_text() == ran.err


SITE = "https://example.org/course"


def test_a_page_on_the_web_is_named_where_there_is_one(
    finding: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    from companion.command.explaining.explain import explain
    from companion.command.formats.document import told
    from companion.command.formats.github import message

    page = f"{SITE}/{finding.chapter}"
    monkeypatch.setattr(version, "_site", lambda: SITE)
    assert told(finding)["url"] == page
    assert as_text(finding).splitlines()[-1] == f"    in the course: {page}"
    assert folded(as_text(finding), 40).splitlines()[-1] == f"    in the course: {page}"
    assert f"\n    in the course: {SITE}/{finding.chapter}\n" in explain("accumulates")
    assert message(finding).endswith(f"companion explain accumulates, and {page}")
    monkeypatch.setattr(version, "_site", lambda: None)
    assert told(finding)["url"] is None
    assert page not in message(finding)
    ends = "    explained by: companion explain accumulates"
    assert as_text(finding).splitlines()[-1] == ends


@pytest.fixture
def finding() -> Finding:
    return Finding(
        "accumulates", True, "train.py", 3, "loss.backward()", "seen", "why", "", None,
        "12_gradients_that_go_wrong.html#gradients-that-pile-up", 0,
    )  # fmt: skip


def test_the_site_is_the_installed_packages_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "training_routine-9.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.4", "Name: training-routine", "Version: 9"]
    for more, site in (["Project-URL: Homepage, " + SITE + "/"], SITE), ([], None):
        (folder / "METADATA").write_text("\n".join([*lines, *more]) + "\n")
        monkeypatch.syspath_prepend(tmp_path)
        version._site.cache_clear()
        assert version.on_the_web("x.html") == (site and f"{site}/x.html")
    version._site.cache_clear()
