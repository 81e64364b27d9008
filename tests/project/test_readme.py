"""The README's code runs and prints what the README says; its picture and commands are real."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import companion
from companion.command.explaining.examples import EXAMPLES
from companion.command.explaining.explain import EVERY
from companion.diagnosis.rules import RULES
from tests import ROOT, TARGETS
from tests.chapters.outputs import Output
from tests.package.command.launched import launch
from tests.package.frameworks.running import watched
from tests.package.frameworks.scripts import TRAINER
from tests.package.running import forks

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


def test_every_rule_is_listed() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| ", README, flags=re.M)
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
    words = ["Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"]
    chapters = list((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
    (word,) = re.findall(r"(\w+) chapters, \d+ to \d+ minutes to read", README)
    assert word == words[len(chapters) - 6]


def test_every_public_name_is_mentioned() -> None:
    told_elsewhere = {"Event", "Finding", "LineRecord", "Reading", "State", "Value", "course_style"}
    for name in {*companion.__all__} - told_elsewhere:
        assert f"`{name}" in README, name
