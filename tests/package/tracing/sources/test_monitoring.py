"""`sys.monitoring`: our one tool, what it costs, and who else has tools."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest
import torch

from companion import trace
from companion.tracing.sources.desk import FREE, Desk
from companion.tracing.sources.monitoring import DESK
from companion.tracing.sources.settrace import Settrace
from tests.package.tracing.watching import changes, lines, loss_of, tools

assert sys.version_info >= (3, 12)  # or it is not collected
MONITORING = sys.monitoring
EVENTS = MONITORING.events


@contextlib.contextmanager
def tool(number: int) -> Iterator[int]:
    """Somebody else's."""
    MONITORING.use_tool_id(number, "somebody else")
    try:
        yield number
    finally:
        MONITORING.set_events(number, 0)
        MONITORING.free_tool_id(number)


def helper(net: Any) -> None:
    loss_of(net).backward()


def test_a_tool_is_taken_and_given_back(net: Any, sgd: torch.optim.SGD) -> None:
    codes = [sys._getframe().f_code, helper.__code__]
    with trace(net, sgd, into=[helper]):
        helper(net)
        (ours,) = tools()
        assert all(MONITORING.get_local_events(ours, code) for code in codes)
        assert sys.gettrace() is None
    assert not tools()
    with tool(ours):
        assert not any(MONITORING.get_local_events(ours, code) for code in codes)


@pytest.mark.parametrize("busy", [(4,), (3,), (3, 4), (0, 1, 2, 5)])
def test_the_tools_of_others_are_left_alone(
    busy: tuple[int, ...], net: Any, sgd: torch.optim.SGD
) -> None:
    """Where none is free, Python's trace function serves."""
    tracer = trace(net, sgd, into=[helper])
    with contextlib.ExitStack() as stack:
        for number in busy:
            stack.enter_context(tool(number))
        with tracer as routine:
            assert tools() == [n for n in FREE if n not in busy][:1]
            assert isinstance(tracer._follower._source, Settrace) == (busy == (3, 4))
            helper(net)
            sgd.step()
        assert [MONITORING.get_tool(number) for number in busy] == ["somebody else"] * len(busy)
    assert [source for _, _, source in lines(routine)][-3:] == [
        "helper(net)",
        "loss_of(net).backward()",
        "sgd.step()",
    ]


def test_other_tools_are_told_the_same(net: Any, sgd: torch.optim.SGD) -> None:
    def run(watching: Any) -> list[tuple[str, int]]:
        told: list[tuple[str, int]] = []

        def note(code: CodeType, number: int) -> None:
            if code is helper.__code__:
                told.append((code.co_name, number))

        with tool(1):
            for event in EVENTS.PY_START, EVENTS.LINE:
                MONITORING.register_callback(1, event, note)
            MONITORING.set_events(1, EVENTS.PY_START | EVENTS.LINE)
            with watching:
                helper(net)
                sgd.step()
        return told

    alone = run(contextlib.nullcontext())
    assert len(alone) == 2
    assert run(trace(net, sgd)) == alone
    assert run(trace(net, sgd, into=[helper])) == alone


def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of calls that meant nothing, and of which Python is to tell no more."""
    number, silence = [0], Desk.silence

    def counted(desk: Desk[Any], sources: tuple[Any, ...]) -> Any:
        number[0] += 1
        return silence(desk, sources)

    monkeypatch.setattr(Desk, "silence", counted)
    return number


def in_a_thread(act: Callable[[], None]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


@pytest.mark.parametrize("where", [lambda act: act(), in_a_thread])
def test_a_call_that_means_nothing_is_told_once(
    where: Callable[[Any], None], net: Any, sgd: torch.optim.SGD, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> None:
        for _ in range(100):
            plain()

    def plain() -> None:
        pass

    number = asked(monkeypatch)
    with trace(net, sgd):
        where(nothing)
        where(nothing)
        once = number[0]
        where(nothing)
        assert number[0] == once
    assert 2 <= once < 100


def test_what_one_trace_is_not_told_another_is(net: Any, sgd: torch.optim.SGD) -> None:
    inside = (1, "helper", "loss_of(net).backward()")
    with trace(net, sgd) as first:
        helper(net)
        helper(net)
    with trace(net, sgd, into=[helper]) as second:
        helper(net)
    with trace(net, sgd) as outer:
        helper(net)
        with trace(net, sgd, into=[helper]) as inner:
            helper(net)
        helper(net)
    with trace(net, sgd, into=[helper]) as last:
        helper(net)
    assert [inside in lines(one) for one in (first, second, outer, inner, last)] == [
        False,
        True,
        False,
        True,
        True,
    ]


def test_a_trace_that_is_entered_again_tells_nobody_anew(
    net: Any, sgd: torch.optim.SGD, monkeypatch: pytest.MonkeyPatch
) -> None:
    restart, number = MONITORING.restart_events, [0]

    def counted() -> None:
        number[0] += 1
        restart()

    monkeypatch.setattr(MONITORING, "restart_events", counted)

    def step() -> None:
        helper(net)
        sgd.step()

    for name in "first", "second":
        traced = trace(net, sgd)(step)
        traced()
        before = number[0]
        traced()
        traced()
        assert number[0] == before, name
    assert number[0] >= 1


def test_a_tool_that_is_taken_away(net: Any, sgd: torch.optim.SGD) -> None:
    with pytest.warns(RuntimeWarning, match="something else took our tool of sys.monitoring"):  # noqa: SIM117
        with trace(net, sgd) as routine:
            helper(net)
            (ours,) = tools()
            MONITORING.set_events(ours, 0)
            MONITORING.free_tool_id(ours)
            MONITORING.use_tool_id(ours, "somebody else")
            sgd.step()
    assert MONITORING.get_tool(ours) == "somebody else"
    for event in DESK.callbacks:
        MONITORING.register_callback(ours, event, None)
    MONITORING.set_local_events(ours, sys._getframe().f_code, 0)
    MONITORING.free_tool_id(ours)
    assert changes(routine)[0][0] == "helper(net)"
    with trace(net, sgd) as again:
        sgd.step()
    assert [source for source, _, _ in changes(again)] == ["sgd.step()"]


def test_our_failure_in_one_trace_is_no_other_ones(
    net: Any, sgd: torch.optim.SGD, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, inner = trace(net, sgd), trace(net, sgd)
    said = pytest.warns(RuntimeWarning, match="companion cannot go on")
    with outer as outside, said, inner as inside:
        helper(net)
        monkeypatch.setattr(inner._follower._recorder, "is_enough", None)  # cannot be called
        sgd.step()
        helper(net)
    assert [source for source, _, _ in changes(outside)] == [
        "helper(net)",
        "sgd.step()",
        "helper(net)",
    ]
    assert [source for source, _, _ in changes(inside)] == ["helper(net)"]


def test_an_exception_that_comes_meanwhile_ends_all_traces_of_the_thread(
    net: Any, sgd: torch.optim.SGD, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, inner = trace(net, sgd), trace(net, sgd)

    def interrupted() -> bool:
        raise KeyboardInterrupt

    with outer as outside, inner as inside:
        helper(net)
        with pytest.raises(KeyboardInterrupt) as caught:
            monkeypatch.setattr(outer._follower._recorder, "is_enough", interrupted)
            sgd.step()
        assert not any(MONITORING.get_events(one) for one in tools())
        sgd.step()
    assert [entry.name for entry in caught.traceback][1:] == ["interrupted"]
    for one in outside, inside:
        assert [source for source, _, _ in changes(one)] == ["helper(net)"]
        assert one.unwatched == [
            "the rest: an exception came while a line was measured, and was caught"
        ]


def test_lines_that_another_thread_runs_are_nobodys(net: Any, sgd: torch.optim.SGD) -> None:
    with trace(net, sgd, into=[helper]) as routine:
        in_a_thread(lambda: helper(net))
        sgd.step()
    assert {depth for depth, _, _ in lines(routine)} == {0}
