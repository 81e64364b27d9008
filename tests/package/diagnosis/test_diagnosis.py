"""The diagnosis: a finding for each broken loop, on its line; none for its twin or sound loops."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from companion import Trace, trace
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules import RULES
from companion.records.kinds import KINDS
from tests.package import loops
from tests.package.command.whole import BROKEN as SCRIPTS
from tests.package.records.test_saving import same

LOOPS = Path(loops.__file__).parent
FILES = sorted(path.stem for path in LOOPS.glob("broken_*.py"))


def functions(module: str, prefix: str) -> list[str]:
    found = importlib.import_module(f"tests.package.loops.{module}")
    return [name for name in vars(found) if name.startswith(prefix)]


TORCHS = (RuntimeError, TypeError, AttributeError)  # in which some of the broken loops end


def run(module: str, name: str, *, raises: tuple[type[Exception], ...] = ()) -> list[Trace]:
    """Run a loop under the trace; the traces it made, whose events are as the table says."""
    traces: list[Trace] = []

    def kept(*watched: Any, **options: Any) -> Any:
        tracer = trace(*watched, **options)
        traces.append(tracer._routine)
        return tracer

    function = getattr(importlib.import_module(f"tests.package.loops.{module}"), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(*raises):
            function(kept)
    for event in (event for one in traces for record in one.records for event in record.events):
        details = KINDS[event.kind].details
        needed = {name for name, detail in details.items() if detail.needed}
        assert needed <= event.details.keys() <= details.keys(), event
    return traces


def expected(module: str, name: str) -> set[tuple[str, int]]:
    """Rule and line of every `# <- rule` in a function."""
    function = getattr(importlib.import_module(f"tests.package.loops.{module}"), name)
    lines, first = inspect.getsourcelines(function)
    return {
        (match[1], first + i)
        for i, line in enumerate(lines)
        if (match := re.search(r"# <- ([a-z-]+)", line))
    }


def found(traces: list[Trace]) -> set[tuple[str, int]]:
    return {(f.rule, f.line) for one in traces for f in one.diagnose()}


Broken = tuple[set[tuple[str, int]], list[Trace]]
BROKEN = [(module, name) for module in FILES for name in functions(module, "broken")]
REPAIRED = [(module, name) for module in FILES for name in functions(module, "repaired")]
SOUND = {path.stem: functions(path.stem, "sound_") for path in sorted(LOOPS.glob("sound_*.py"))}


@pytest.fixture(scope="module", params=BROKEN, ids="-".join)
def broken(request: pytest.FixtureRequest) -> Broken:
    """Of a broken loop, run once: what is to be found, and its traces."""
    torch.manual_seed(0)  # before the one of each test
    return expected(*request.param), run(*request.param, raises=TORCHS)


def test_broken(broken: Broken) -> None:
    wanted, traces = broken
    assert wanted
    assert found(traces) == wanted


def test_a_broken_loop_comes_back_from_its_file(broken: Broken, tmp_path: Path) -> None:
    """With retain_graph=True a file was written that could not be read."""
    for routine in broken[1]:
        routine.save(tmp_path / "loop.json")
        again = Trace.load(tmp_path / "loop.json")
        assert same(again.records, routine.records)
        assert again.diagnose() == routine.diagnose()


@pytest.mark.parametrize(
    ("module", "name"),
    [*REPAIRED, *((module, name) for module, names in SOUND.items() for name in names)],
)
def test_sound(module: str, name: str) -> None:
    traces = run(module, name)
    assert traces
    assert all(one.records for one in traces)
    assert not [str(f) for one in traces for f in one.diagnose()]


def test_every_file_of_sound_loops_has_some() -> None:
    assert len(SOUND) >= 12
    assert all(SOUND.values())


def test_every_rule_has_a_broken_loop() -> None:
    seen = {rule for module, name in BROKEN for rule, _ in expected(module, name)}
    seen |= {rule.strip("()") for _, rule in SCRIPTS.values()}  # that only a script's end shows
    assert seen == {rule.name for rule in RULES}


def test_every_broken_loop_has_its_twin() -> None:
    assert {(m, n.replace("repaired", "broken")) for m, n in REPAIRED} == set(BROKEN)


def test_a_loop_that_never_clears_is_judged_in_linear_time() -> None:
    """Each step adds to the same gradients; of what is alike the ledger keeps only the latest."""
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    inputs = torch.ones(4, 2)
    with trace(net, optimizer) as routine:
        for _ in range(100):
            loss = net(inputs).square().mean()
            loss.backward()
            optimizer.step()
    (finding,) = routine.diagnose()
    assert (finding.rule, finding.times) == ("accumulates", 99)
    assert "stepped with the sum of 2 backward calls" in finding.observed
    ledger = Ledger(routine.records)
    assert [len(use.backwards) for use in ledger.uses] == [*range(1, 101)]
    assert [use.reused for use in ledger.uses[1:]] == [*pairwise(ledger.backwards)]
    for content in ledger._content.values():
        assert len(content.backwards) == 100
        assert len([*content.pairs()]) == 1


def test_a_step_behind_the_loop_of_a_group_has_two_cures() -> None:
    """The step goes into the loop, or what clears out of it: only the author knows."""
    (one,) = run("broken_09_accumulation_cleared", "broken_in_groups")
    (finding,) = one.diagnose()
    assert not finding.certain
    assert not finding.cure
    assert "meant for one step" in str(finding)
