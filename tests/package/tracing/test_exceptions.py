"""An exception keeps the trace so far and goes through."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import pytest
import torch

from companion import trace
from companion.tracing.measure.meter import Meter
from tests.package.tracing.watching import Loop, counts, spy


def test_an_exception_keeps_the_trace_so_far_and_goes_through(loop: Loop) -> None:
    net, optimizer, criterion, inputs, labels = vars(loop).values()
    frame = sys._getframe()
    with pytest.raises(ValueError, match="batch_size"), trace(net, optimizer) as routine:
        optimizer.zero_grad()
        net(inputs).sum().backward()
        criterion(
            net(inputs),
            labels[:3],
        )
        optimizer.step()
    assert counts(routine) == [("net(inputs).sum().backward()", 4, 0)]
    assert len(routine.records) == 3
    raised = routine.records[-1].raised
    assert raised is not None
    assert raised.startswith("ValueError: Expected input batch_size (8)")
    assert "raised ValueError: Expected input" in str(routine)
    assert frame.f_trace is None


def test_an_exception_after_the_line_had_its_effect(loop: Loop) -> None:
    def backward_and_fail() -> None:
        loop.net(loop.inputs).sum().backward()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), trace(loop.net, loop.optimizer) as routine:
        backward_and_fail()
    assert counts(routine) == [("backward_and_fail()", 4, 0)]
    assert routine.records[0].raised == "KeyboardInterrupt"


def test_backward_twice(loop: Loop) -> None:
    with pytest.raises(RuntimeError, match="second time"), trace(loop.net, loop.optimizer) as r:
        loss = loop.criterion(loop.net(loop.inputs), loop.labels)
        loss.backward()
        loss.backward()
    assert [record.raised is None for record in r.records] == [True, True, False]


def test_an_exception_through_an_inner_block_is_noted_on_its_line(loop: Loop) -> None:
    with pytest.raises(ValueError, match="boom"), trace(loop.net, loop.optimizer) as routine:
        try:
            with torch.enable_grad():
                raise ValueError("boom")
        finally:
            loop.optimizer.zero_grad()
    raised = {r.source: r.raised for r in routine.records if r.raised}
    assert raised == {'raise ValueError("boom")': "ValueError: boom"}


def test_an_exception_that_cannot_be_printed(loop: Loop) -> None:
    class Silent(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(Silent), trace(loop.net, loop.optimizer) as routine:
        raise Silent
    assert "Silent" in (routine.records[-1].raised or "")


def test_a_long_message_is_one_line_of_the_text(loop: Loop) -> None:
    with pytest.raises(ValueError), trace(loop.net, loop.optimizer) as routine:  # noqa: PT011
        raise ValueError("\n\nmulti\nline" + 300 * " word")
    last = str(routine).splitlines()[-1]
    assert last.strip().startswith("raised ValueError: multi line word")
    assert len(last) < 120


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_while_a_line_is_measured(
    loop: Loop, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python drops a trace function that raises. What was there before comes back all the same."""
    frame, before, tracer = sys._getframe(), sys.gettrace(), spy([])
    measure, calls = Meter.measure, []

    def interrupted(meter: Meter) -> Any:
        calls.append(meter)
        if len(calls) == 4:  # on entering, twice, and the second line of the block
            raise error("now")
        return measure(meter)

    monkeypatch.setattr(Meter, "measure", interrupted)
    sys.settrace(tracer)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(error, match="now"), trace(loop.net, loop.optimizer) as routine:
                loop.optimizer.zero_grad()
                loop.net(loop.inputs).sum().backward()
                loop.optimizer.step()
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert frame.f_trace is None or frame.f_trace.__qualname__.startswith("spy")
    assert counts(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]
