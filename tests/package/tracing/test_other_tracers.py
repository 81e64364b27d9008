"""Debuggers, generators, other traces: who else follows lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest

from companion import Trace, trace
from tests.package.tracing.watching import Loop, counts, spy


def test_another_tracer_goes_on_seeing_every_event_and_is_handed_back(loop: Loop) -> None:
    def helper() -> None:
        loop.net(loop.inputs).sum().backward()

    def step(traced: bool) -> None:
        with trace(loop.net, loop.optimizer) if traced else contextlib.nullcontext() as routine:
            helper()
            loop.optimizer.step()
        if routine is not None:
            assert counts(routine) == [("helper()", 4, 0), ("loop.optimizer.step()", 0, 4)]

    seen: dict[bool, list[tuple[str, str, int]]] = {False: [], True: []}
    before = sys.gettrace()
    for traced in False, True:
        loop.optimizer.zero_grad()
        tracer = spy(seen[traced])
        sys.settrace(tracer)
        try:
            step(traced)
            assert sys.gettrace() is tracer
        finally:
            sys.settrace(before)
    ours = [event for event in seen[True] if event[1] in ("step", "helper")]
    theirs = [event for event in seen[False] if event[1] in ("step", "helper")]
    lines = {event for event in theirs if event[0] in ("line", "call")}
    assert len(lines) > 5
    assert lines <= set(ours)


def test_a_tracer_installed_inside_the_block(loop: Loop, source: str) -> None:
    """It ends a trace that has Python's trace function, with a warning; another goes on."""
    before, seen = sys.gettrace(), list[tuple[str, str, int]]()
    tracer = spy(seen)
    alone = pytest.warns(RuntimeWarning, match="took Python's tracing over")
    try:
        with contextlib.nullcontext() if source == "monitoring" else alone:  # noqa: SIM117
            with trace(loop.net, loop.optimizer) as routine:
                loop.net(loop.inputs).sum().backward()
                sys.settrace(tracer)
                loop.optimizer.step()
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    wanted = [("loop.net(loop.inputs).sum().backward()", 4, 0), ("loop.optimizer.step()", 0, 4)]
    number = 2 if source == "monitoring" else 1
    assert counts(routine)[:number] == wanted[:number]


@pytest.mark.parametrize("traced_by_another", [False, True])
def test_a_generator_that_is_left_and_resumed(loop: Loop, traced_by_another: bool) -> None:
    def steps() -> Iterator[Trace]:
        with trace(loop.net, loop.optimizer) as routine:
            loop.optimizer.zero_grad()
            yield routine
            loop.net(loop.inputs).sum().backward()
            loop.optimizer.step()

    before = sys.gettrace()
    if traced_by_another:
        sys.settrace(spy([]))
    try:
        (routine,) = steps()
    finally:
        sys.settrace(before)
    assert counts(routine) == [
        ("loop.net(loop.inputs).sum().backward()", 4, 0),
        ("loop.optimizer.step()", 0, 4),
    ]


def test_traces_that_overlap_without_nesting(loop: Loop) -> None:
    before, frame = sys.gettrace(), sys._getframe()
    one, two = trace(loop.net, loop.optimizer), trace(loop.net, loop.optimizer)
    first = one.__enter__()
    second = two.__enter__()
    loop.net(loop.inputs).sum().backward()
    one.__exit__(None, None, None)
    loop.optimizer.step()
    two.__exit__(None, None, None)
    assert sys.gettrace() is before
    assert frame.f_trace is None
    assert counts(first) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]
    assert counts(second) == [*counts(first), ("loop.optimizer.step()", 0, 4)]
