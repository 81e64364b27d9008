"""The README's code runs and prints what the README says; its picture and commands are real."""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

import companion
from companion.command.configuration import configured
from companion.command.explaining.examples import EXAMPLES
from companion.command.explaining.explain import EVERY
from companion.command.options import names_of_options
from companion.diagnosis.ignored import ignored, mistaken
from companion.diagnosis.rules import RULES
from tests import ROOT, TARGETS
from tests.chapters.outputs import Output
from tests.package.command.launched import launch
from tests.package.frameworks.running import watched
from tests.package.frameworks.scripts import TRAINER
from tests.package.running import forks
from tests.project.workflows import run_step

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


def test_the_report_and_its_picture_are_what_the_command_says() -> None:
    picture = runpy.run_path(str(ROOT / "tools/picture.py"))
    shown = blocks("text")[0]
    report = picture["report"]()
    assert Output(shown.strip()) == report.strip()
    stored = picture["PICTURE"].read_text(encoding="utf-8")
    assert Output(stored) == picture["picture"](report)


def test_the_report_of_two_processes_is_what_they_say(tmp_path: Path) -> None:
    (shown,) = (block for block in blocks("text") if "2 ranks watched" in block)
    script = {"ranks": EXAMPLES["not-synchronised"].script()}
    told = launch(tmp_path, script)["ranks"]
    assert Output(shown.strip()) == told.report.strip()


@pytest.mark.weekly
def test_the_report_of_a_library_is_what_the_command_says(tmp_path: Path) -> None:
    (shown,) = (block for block in blocks("text") if "inside transformers.Trainer" in block)
    said = watched(tmp_path, TRAINER).err
    begin = said.index("companion: watched")
    end = "its lines: --into transformers.Trainer"
    assert Output(shown.strip()) == said[begin : said.index(end) + len(end)]


def test_the_script_is_not_edited_for_us_and_the_others_run(tmp_path: Path) -> None:
    script, around = blocks("python")
    assert "companion" not in script
    prelude = script.replace("total += loss\n", "optimizer.zero_grad()\n")
    code = f"{prelude.replace('total / 6', 'loss')}\n{around}"
    (tmp_path / "example.py").write_text(code)
    forks().run(tmp_path, "example.py").well()
    assert (tmp_path / "run.json").exists()


def test_every_option_is_told() -> None:
    missing = [name for name in names_of_options() if f"`{name}" not in README]
    assert missing == []


def test_the_step_of_a_workflow_works_as_shown(tmp_path: Path) -> None:
    (shown,) = blocks("yaml")
    (step,) = yaml.safe_load(shown)
    (tmp_path / "train.py").write_text(blocks("python")[0])
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    ran = run_step(step["run"], tmp_path, PATH=path)
    assert ran.code == 3
    annotations = [
        line for line in ran.err.splitlines() if line.startswith("::error file=train.py")
    ]
    assert len(annotations) == 2


def test_the_comments_and_settings_are_understood(tmp_path: Path) -> None:
    comments = next(block for block in blocks("text") if "companion: ignore" in block)
    for line in comments.splitlines():
        assert ignored(line), line
        assert not [*mistaken(line)]
    (tmp_path / "pyproject.toml").write_text(blocks("toml")[0])
    if sys.version_info >= (3, 11):
        said = configured(tmp_path)
        assert len(said.options) + len(said.per_file) == 6


def test_every_rule_is_listed() -> None:
    listed = re.findall(r"^\| `([a-z][a-z-]+)` \| ", README, flags=re.M)
    assert listed[: len(EVERY)] == [rule.name for rule in EVERY]
    assert f"{len(RULES)} rules" in README


def test_links_into_the_project_resolve() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) >= 6
    for link in local:
        assert (ROOT / link).exists(), link


def test_commands_exist() -> None:
    commands = set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.M))
    assert {"book", "test", "notebooks", "bench", "serve"} <= commands <= TARGETS


def test_the_number_of_chapters() -> None:
    words = ["Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve", "Thirteen"]
    chapters = list((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
    (word,) = re.findall(r"(\w+) chapters, \d+ to \d+ minutes to read", README)
    assert word == words[len(chapters) - 6]


def test_every_public_name_is_mentioned() -> None:
    told_elsewhere = {"Event", "Finding", "LineRecord", "Reading", "State", "Value", "course_style"}
    for name in {*companion.__all__} - told_elsewhere:
        assert f"`{name}" in README, name
