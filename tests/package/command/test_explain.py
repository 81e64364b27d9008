"""`explain` and `rules`: each rule has a loop that it objects to, and nothing in its twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

import companion
from companion.command.explaining.examples import EXAMPLES
from companion.command.explaining.explain import EVERY
from companion.records.version import in_the_course, on_the_web
from tests.package.running import forks

# What is found in all examples, and what is said of them; each of them runs once for all that.
CODE = """
import json, os, warnings
from companion.__main__ import main
from companion.command.explaining import explain
from companion.command.explaining.examples import EXAMPLES
warnings.simplefilter("ignore")
judged, known = explain.judged, {}
def once(name, example, *, repaired=False):
    key = name, id(example), repaired
    if key not in known:
        known[key] = judged(name, example, repaired=repaired)
    return known[key]
explain.judged = once
print(json.dumps({
    name: [
        [[(f.rule, f.line) for f in once(name, one, repaired=r)] for r in (False, True)]
        for one in (first, *first.further)
    ]
    for name, first in EXAMPLES.items()
}))
for columns in {}, {"COLUMNS": "80"}:
    print(end=chr(0))
    os.environ.update(columns)
    main(["explain", *(rule.name for rule in explain.EVERY)])
"""


class Told(NamedTuple):
    found: dict[str, list[list[list[list[object]]]]]  # in each example, and in its twin
    wide: str
    narrow: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    ran = forks().run(tmp_path_factory.mktemp("examples"), CODE, how="code").well()
    found, wide, narrow = ran.out.split("\0")
    return Told(json.loads(found), wide, narrow)


def test_every_rule_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(rule.name for rule in EVERY)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_shows_its_rule_alone_and_its_twin_none(name: str, told: Told) -> None:
    examples = EXAMPLES[name], *EXAMPLES[name].further
    for one, (broken, repaired) in zip(examples, told.found[name], strict=True):
        assert broken == [[name, one.line]]
        assert repaired == []
        text = one.script()
        assert all(len(line) <= 88 for line in text.splitlines())
        assert all(old in one.broken for old in one.repairs)
        assert text != one.script(repaired=True)


def test_explain_shows_both_loops_and_what_is_found(tmp_path: Path) -> None:
    told = forks().run(tmp_path, "explain", "accumulates", how="command").well().out
    assert told.startswith("accumulates: A step uses a backward that it has used before.\n")
    assert "  10  for inputs, labels in batches:\n" in told
    assert "\naccumulates, line 12, 5 times: loss.backward()\n" in told
    assert "    +     optimizer.zero_grad()\n" in told
    assert told.endswith("\nno findings\n")


def test_of_a_rule_that_finds_another_mistake_both_are_shown(tmp_path: Path) -> None:
    """Each with its own reason."""
    told = forks().run(tmp_path, "explain", "same-data", how="command").well().out
    first, another, second = told.partition("\n\nAnother loop in which it finds something:\n")
    assert another, told
    assert "compute the same gradient" in first
    assert "compute the same gradient" not in second
    assert "    A sampler that is told of no epoch shuffles once: " in second
    assert "    +     loader.sampler.set_epoch(epoch)\n" in second
    assert first.endswith("\nno findings")
    assert second.endswith("\nno findings\n")


def test_several_at_once(tmp_path: Path) -> None:
    told = forks().run(tmp_path, "explain", "discarded", "graph-kept", how="command").well().out
    assert "\n\n\ngraph-kept: " in told


def test_what_is_no_rule_is_said_with_what_is_alike(tmp_path: Path) -> None:
    ran = forks().run(tmp_path, "explain", "acumulates", how="command")
    assert ran.code == 2
    assert "no rule is called 'acumulates'; did you mean accumulates" in ran.err
    ran = forks().run(tmp_path, "explain", "xyz", how="command")
    assert "no rule is called 'xyz'; `companion rules` lists them" in ran.err


ADDRESSES = {in_the_course(rule.section) for rule in EVERY}


def test_explain_in_a_narrow_terminal(told: Told) -> None:
    """Of every rule: no line is too wide but an address, and no word is lost or broken."""
    assert max(map(len, told.wide.splitlines())) > 80
    assert {line.split()[0] for line in told.narrow.splitlines() if len(line) > 80} <= ADDRESSES
    assert told.wide.split() == told.narrow.split()
    for rule in EVERY:
        assert f"\n{rule.name}: " in f"\n{told.wide}"


@pytest.mark.parametrize("width", [30, 80])
def test_rules_in_a_narrow_terminal(width: int, tmp_path: Path) -> None:
    narrow = {"COLUMNS": str(width)}
    told = forks().run(tmp_path, "rules", how="command", variables=narrow).well().out
    assert [line for line in told.splitlines() if len(line) > width] == []
    assert told.split() == forks().run(tmp_path, "rules", how="command").well().out.split()
    names = [line.split()[0] for line in told.splitlines() if line[0] != " "]
    assert names == [rule.name for rule in EVERY]


def test_explain_names_the_chapter_that_explains_more(tmp_path: Path) -> None:
    """In words, where no address is known; they are the titles that stand in the course."""
    told = forks().run(tmp_path, "explain", "accumulates,no-batch", how="command").well().out
    for rule in EVERY:
        if rule.name in ("accumulates", "no-batch"):
            assert f"\n    in the course: {in_the_course(rule.section)}\n" in told
    assert (".html" in told) == (on_the_web("") is not None)


def test_rules_lists_all(tmp_path: Path) -> None:
    told = forks().run(tmp_path, "rules", how="command").well().out
    assert [line.split()[0] for line in told.splitlines()] == [rule.name for rule in EVERY]


def test_a_script_of_that_name_is_run(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("print('my own')\n")
    assert forks().run(tmp_path, "rules", how="command").well().out == "my own\n"


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("words", [["--help"], ["explain", "--help"], ["rules", "--help"]])
def test_help_fits(words: list[str], width: int, tmp_path: Path) -> None:
    narrow = {"COLUMNS": str(width)}
    told = forks().run(tmp_path, *words, how="command", variables=narrow).well().out
    wide = {"COLUMNS": "1000"}
    whole = forks().run(tmp_path, *words, how="command", variables=wide).well().out
    assert [line for line in told.splitlines() if len(line) > width and " " in line.strip()] == []
    assert told.split() == whole.split()


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(option: str, tmp_path: Path) -> None:
    told = forks().run(tmp_path, option, how="command").well().out
    assert told.startswith(f"companion {companion.__version__} (torch ")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        companion.nothing  # noqa: B018
