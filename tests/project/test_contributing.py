"""What those who carry the project on are told: each command, path and version is real."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import NAMES, ROOT, TARGETS
from tests.package.running import forks, run

VERSION = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), flags=re.M)[0]
TEXTS = [
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    ROOT / ".github/pull_request_template.md",
]
FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config")
# Written by a command, by a reader or later: not in the repository.
NOT_YET = re.compile(r"book/11_|book/locale|_build/|\.venv|dist$|(broken|sound)_\.\.\.")


def named(path: Path) -> list[str]:
    """Everything in a text that stands in backticks, and the lines of its code blocks."""
    text = path.read_text(encoding="utf-8")
    fences = re.findall(r"```sh\n(.*?)```", text, flags=re.S)
    return re.findall(r"`([^`\n]+)`", text) + [
        line.strip() for f in fences for line in f.split("\n")
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_commands_and_paths_exist(path: Path) -> None:
    for words in named(path):
        if match := re.match(r"make ([a-z-]+)", words):
            assert match[1] in TARGETS, words
        for word in words.split():
            if re.fullmatch(r"(\w+/[\w./-]+|[\w.-]+\.(md|toml|txt|yml|cff))", word):
                assert NOT_YET.search(word) or _exists(word), word


def _exists(word: str) -> bool:
    return (ROOT / word).exists() or (ROOT / ".github/workflows" / word).exists()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            assert (ROOT / link).exists(), link


def test_contributing_names_what_there_is() -> None:
    words = named(ROOT / "CONTRIBUTING.md")
    commands = {match[1] for one in words if (match := re.match(r"make (\S+)", one))}
    assert {".venv/ready", "test", "book", "notebooks", "matrix", "constraints"} <= commands
    workflows = {path.stem for path in ROOT.glob(".github/workflows/*.yml")}
    assert {"book", "release"} <= workflows & set(words)


def test_a_new_chapter_is_told_all_that_its_first_cell_needs() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    steps = text.partition("## A chapter\n")[2].partition("\n## ")[0]
    chapter = json.loads(next((ROOT / "book").glob("01_*.ipynb")).read_text(encoding="utf-8"))
    setup = next(cell for cell in chapter["cells"] if cell["cell_type"] == "code")
    assert len(setup["metadata"]["tags"]) == 2
    for tag in setup["metadata"]["tags"]:
        assert f"`{tag}`" in steps
    assert steps.index("`make address`") < steps.index("`make notebooks`")


def test_the_lines_of_every_text_end_alike() -> None:
    attributes = (ROOT / ".gitattributes").read_text()
    assert "* text=auto eol=lf\n" in attributes
    binary = {".png", ".ico", ".gz", ".zip", ".woff2", ".jpg"}
    tracked = run(ROOT, "git", "ls-files").well().out.splitlines()
    for ending in {Path(name).suffix for name in tracked} & binary:
        assert f"*{ending} binary\n" in attributes, ending


@pytest.mark.parametrize("path", ["README.md", "book/index.md"])
def test_every_chapter_is_listed(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert [name for name in NAMES if f"{name}.ipynb)" in text] == NAMES


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == VERSION
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{VERSION}] - " in changelog or f"The first version, {VERSION}, " in changelog
    headings = re.findall(r"^## (.+)$", changelog, flags=re.M)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading), heading


# The issue forms: what a reporter is asked to run, runs.


def fields(path: Path) -> dict[str, Any]:
    body = yaml.safe_load(path.read_text(encoding="utf-8"))["body"]
    return {field["id"]: field for field in body}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_the_versions_are_printed_by_what_the_form_says(path: Path, tmp_path: Path) -> None:
    asked = fields(path)["versions"]["attributes"]["description"]
    (command,) = re.findall(r"```\w+\n(.+)\n```", asked)
    code = re.sub(r'^python -c "(.*)"$', r"\1", command)
    said = forks().run(tmp_path, code, how="code").out
    assert "{}.{}.{}".format(*sys.version_info) in said
    assert re.search(r" 2\.\d+\.\d+", said)


def test_the_forms_ask_for_what_is_needed() -> None:
    number, loop = (fields(path) for path in (FORMS[1], FORMS[0]))
    assert {"place", "shown", "right", "how"} <= {k for k, v in number.items() if _required(v)}
    assert {"kind", "script", "report", "truth", "versions"} == {
        k for k, v in loop.items() if _required(v)
    }
    warning = loop["trace"]["attributes"]["description"]
    assert 'routine.save("run.json")' in warning
    assert "source lines" in warning


def _required(field: dict[str, Any]) -> bool:
    return bool(field.get("validations", {}).get("required"))


# pre-commit: its hooks use the project's own tools.

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_hooks_download_nothing_and_can_be_run() -> None:
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    tracked = run(ROOT, "git", "ls-files").well().out.splitlines()
    for hook in HOOKS[0]["hooks"]:
        assert hook["language"] == "system"
        python, option, module, *arguments = hook["entry"].split()
        assert (python, option) == (".venv/bin/python", "-m")
        assert importlib.util.find_spec(module), module
        for word in arguments:
            assert not word.startswith("tests/") or (ROOT / word).exists(), word
        if "files" in hook:
            assert [path for path in tracked if re.search(hook["files"], path)], hook["id"]
