"""Mutants of whole scripts: mistakes are found, changes that are none stay without a finding."""

from __future__ import annotations

import ast
import copy

import pytest

from companion.diagnosis.rules import RULES
from tests.package.mutation.__main__ import FILE, Judged, run, written
from tests.package.mutation.changes import CHANGES
from tests.package.mutation.faults import FAULTS
from tests.package.mutation.table import SCRIPTS

TREES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in SCRIPTS}


def test_there_are_scripts_of_many_kinds() -> None:
    assert len(SCRIPTS) >= 12


@pytest.mark.parametrize("name", [*FAULTS, *CHANGES])
def test_an_operator_changes_some_scripts_and_leaves_python(name: str) -> None:
    change = FAULTS[name].change if name in FAULTS else CHANGES[name]
    changed = 0
    for tree in TREES.values():
        mine = copy.deepcopy(tree)
        if change(mine):
            text = ast.unparse(ast.fix_missing_locations(mine))
            compile(text, "mutant", "exec")
            changed += name == "unchanged" or text != ast.unparse(tree)
    assert changed


def test_the_rules_that_may_find_a_mistake_exist() -> None:
    named = {rule for fault in FAULTS.values() for rule in fault.rules}
    assert named <= {rule.name for rule in RULES}


@pytest.fixture(scope="module")
def everything() -> tuple[Judged, Judged]:
    """Some 400 scripts."""
    return run()


@pytest.mark.weekly
def test_mistakes_are_found(everything: tuple[Judged, Judged]) -> None:
    """Of those that torch does not refuse by itself."""
    verdicts = [said.verdict(one.rules) for one, said in everything[0]]
    silent = [one for one in verdicts if one != "raises"]
    assert sum(one in ("certain", "possible") for one in silent) >= 0.95 * len(silent)


@pytest.mark.weekly
def test_what_is_no_mistake_is_not_found(everything: tuple[Judged, Judged]) -> None:
    assert [(one.script, one.change, said) for one, said in everything[1] if any(said)] == []


@pytest.mark.weekly
def test_the_table_is_what_comes_out(everything: tuple[Judged, Judged]) -> None:
    assert FILE.read_text(encoding="utf-8") == written(*everything)
