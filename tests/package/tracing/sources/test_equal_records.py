"""Both sources tell the same: their records are equal, to the last reading and event."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from companion import LineRecord, trace
from companion.tracing.sources.choice import VARIABLE
from companion.tracing.sources.monitoring import Monitoring
from tests.package.diagnosis.test_diagnosis import BROKEN, REPAIRED, SOUND, TORCHS, run
from tests.package.isolation.fuzzing.running import runner
from tests.package.isolation.fuzzing.script import recipe, write
from tests.package.sources import SOURCES
from tests.package.tracing.sources.lines import INTO, LINES, Bench, coroutine, deeper

Records = list[tuple[LineRecord, ...]]


def both(make: Callable[[], Records], monkeypatch: pytest.MonkeyPatch) -> list[list[list[str]]]:
    """What it makes with each source: lists of records, as texts, in which NaN is equal to NaN."""
    found = []
    for source in SOURCES:
        monkeypatch.setenv(VARIABLE, source)
        torch.manual_seed(0)
        found.append([[text(record) for record in records] for records in make()])
    return found


def text(record: LineRecord) -> str:
    """All that it holds; autograd numbers its nodes on and on, so of these the difference."""
    told = re.sub(
        r"'nodes': \((\d+), (\d+), (\d+)\)",
        lambda found: f"'nodes': ({found[1]}, {int(found[3]) - int(found[2])})",
        repr(record),
    )
    return re.sub(
        r"'oldest': (\d+), 'newest': (\d+)",
        lambda found: f"'newest': {int(found[2]) - int(found[1])}",
        told,
    )


LOOPS = [*BROKEN, *REPAIRED, *((module, name) for module in SOUND for name in SOUND[module])]


@pytest.mark.parametrize(("module", "name"), LOOPS)
def test_loops(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> Records:
        return [one.records for one in run(module, name, raises=TORCHS)]

    told, traced = both(make, monkeypatch)
    assert told == traced
    assert any(told)


# What a line is.


@pytest.mark.parametrize("inner", [False, True], ids=["outside", "inside"])
@pytest.mark.parametrize("lines", LINES)
def test_lines(
    lines: Callable[[Bench], None], inner: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the functions that are followed, all or but one, and in the block that is entered."""

    def make() -> Records:
        b = Bench()
        with trace(b.net, b.sgd, into=INTO if inner else [lines]) as routine:
            lines(b)
        return [routine.records]

    told, traced = both(make, monkeypatch)
    assert told == traced
    assert len(set(told[0])) > 4


@pytest.mark.parametrize("lines", LINES)
@pytest.mark.parametrize("every", [2, 3])
def test_lines_of_some_steps(
    lines: Callable[[Bench], None], every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the watching goes on in the middle of a line; with traces beside each other."""

    def make() -> Records:
        b = Bench()
        with (
            trace(b.net, b.sgd, into=[lines, deeper, coroutine], every=every) as outer,
            trace(b.net, b.sgd, into=INTO, every=2) as inner,
        ):
            lines(b)
        return [outer.records, inner.records]

    told, traced = both(make, monkeypatch)
    assert told == traced
    assert all(told)


def test_nothing_else_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    b, kinds = Bench(), []
    for source in SOURCES:
        monkeypatch.setenv(VARIABLE, source)
        tracer = trace(b.net, b.sgd)
        with tracer:
            kinds.append(isinstance(tracer._follower._source, Monitoring))
    assert kinds == [True, False]


# Whole scripts.

# What comes at its own time, reads what happens to be in memory that was freed, or goes as deep as
# the stack allows: there Python drops a trace function, and `sys.monitoring` goes on.
NEVER_THE_SAME = ("timer", "each 0.", "thread", "beside the loop", "and back", "RecursionError")
SEEDS = [seed for seed in range(25) if not any(one in recipe(seed).title for one in NEVER_THE_SAME)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("mode", ["command", "trace"])
def test_scripts_of_the_fuzz(mode: str, tmp_path: Path) -> None:
    different, lines = [], 0
    with runner(tmp_path) as runs:
        for seed in SEEDS:
            script = write(recipe(seed))
            told, traced = (runs.records(script, mode, source) for source in SOURCES)
            lines += told.count("\n")
            if told != traced:
                different.append(seed)
    assert not different
    assert lines > 10 * len(SEEDS)
