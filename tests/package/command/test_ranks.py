"""Several processes: one report, of what all did and of what differs between them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch import distributed

from tests.package.command.across import BROKEN, SOUND, START
from tests.package.command.launched import Launched, launch, left

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo here"
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Launched]:
    """All scripts, in two processes each; they are started once for all tests."""
    texts = {name: text for name, (text, _) in BROKEN.items()} | SOUND
    scripts = {
        name: START + text + "dist.destroy_process_group()\n" for name, text in texts.items()
    }
    return launch(tmp_path_factory.mktemp("ranks"), scripts, "--html", "loop.html")


def rules(report: str) -> list[tuple[str, int]]:
    """The findings of a report: the rule, in brackets if it is only possible, and the line."""
    found = re.findall(r"^(possible: )?([a-z-]+), line (\d+)(?:, \d+ times)?: ", report, re.M)
    return [(f"({rule})" if possible else rule, int(line)) for possible, rule, line in found]


@pytest.mark.parametrize("name", BROKEN)
def test_broken(ran: dict[str, Launched], name: str) -> None:
    text, rule = BROKEN[name]
    line = (START + text).partition("  # <-")[0].count("\n") + 1
    assert ran[name].codes == [0, 0], ran[name].report
    assert rules(ran[name].err[0]) == [(rule, line)], ran[name].report


@pytest.mark.parametrize("name", SOUND)
def test_sound(ran: dict[str, Launched], name: str) -> None:
    assert ran[name].codes == [0, 0], ran[name].report
    assert rules(ran[name].report) == [], ran[name].report


@pytest.mark.parametrize("name", [*BROKEN, *SOUND])
def test_one_of_them_reports_and_nothing_is_left(ran: dict[str, Launched], name: str) -> None:
    assert ran[name].err[0].startswith("companion: 2 ranks watched, "), ran[name].report
    assert ran[name].err[1] == ""
    assert not left(ran[name])


def test_nothing_is_wider_than_the_terminal(tmp_path: Path) -> None:
    """What differs is broken between words, as the lines and the findings are."""
    long = "net = nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 16), *net[1:])\n"
    script = START + long + BROKEN["around it"][0]
    narrow = launch(tmp_path, {"narrow": script}, variables={"COLUMNS": "80"})["narrow"]
    wide = launch(tmp_path, {"wide": script})["wide"]
    said, whole = narrow.err[0], wide.err[0]
    block, wanted = (text.partition("between the ranks:\n")[2] for text in (said, whole))
    assert max(map(len, wanted.partition("\n\n")[0].splitlines())) > 80
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert block.split() == wanted.split()


def test_a_rule_that_is_silent_in_one_process_may_speak_in_another(tmp_path: Path) -> None:
    """So a comment that names it is not called idle; one that names no rule is."""
    comment = "sgd.step()  # companion: ignore[accumulates, acumulates]"
    text = START + SOUND["as it should be"].replace("sgd.step()", comment)
    report = launch(tmp_path, {"idle": text})["idle"].report
    said = [line for line in report.splitlines() if "ignores nothing" in line]
    assert len(said) == 1
    assert "no rule is called 'acumulates'" in said[0]


def test_too_few_steps_of_one_in_so_many_are_said(tmp_path: Path) -> None:
    scripts = {"few": START + BROKEN["around it"][0]}
    said = launch(tmp_path, scripts, "--every", "9")["few"].report
    assert said.count("fewer may hide what is wrong: --every 1 watches 3 of 4\n") == 1


def test_the_page_of_the_first_says_what_differs(ran: dict[str, Launched]) -> None:
    one = ran["around it"]
    first, second = ((one.folder / name).read_text() for name in ("loop.html", "loop.rank1.html"))
    block = one.err[0].partition("between the ranks:\n")[2].partition("\n\n")[0]
    for line in block.splitlines():
        assert line[4:] in first
        assert line[4:] not in second
    assert first.count("<strong>not-synchronised</strong>") == 1
    assert "<summary>between the ranks</summary>" in first
    assert "not-synchronised" not in second
    assert "between the ranks" in (ran["as it should be"].folder / "loop.html").read_text()
