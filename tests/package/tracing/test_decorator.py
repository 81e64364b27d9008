"""`@trace(...)`: every call of a function, in one trace."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from companion import trace
from tests.package.tracing.watching import Loop, counts


def test_decorator(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def step(inputs: Tensor, *, labels: Tensor) -> float:
        """Document."""
        loop.optimizer.zero_grad()
        loss = loop.criterion(loop.net(inputs), labels)
        loss.backward()
        loop.optimizer.step()
        return loss.item()  # type: ignore[no-any-return]

    assert isinstance(step(loop.inputs, labels=loop.labels), float)
    assert (step.__name__, step.__doc__) == ("step", "Document.")
    routine = step.routine
    assert counts(routine) == [("loss.backward()", 4, 0), ("loop.optimizer.step()", 0, 4)]
    assert len(routine.records) == 5
    step(loop.inputs, labels=loop.labels)
    assert len(routine.records) == 10
    assert counts(routine)[2] == ("loop.optimizer.zero_grad()", 4, 0)


def test_decorated_method_and_decorated_twice(loop: Loop) -> None:
    class Trainer:
        @torch.enable_grad()
        def step(self) -> int:
            loop.net(loop.inputs).sum().backward()
            return 3

    traced = trace(loop.net, loop.optimizer)(Trainer().step)
    assert traced() == 3
    routine = traced.routine
    assert counts(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]


def test_decorated_function_that_raises(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def step() -> None:
        loop.net(loop.inputs).sum().backward()
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        step()
    routine = step.routine
    assert [r.raised for r in routine.records] == [None, "RuntimeError: out of memory"]


def test_a_function_that_calls_itself(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def step(depth: int) -> None:
        loop.net(loop.inputs).sum().backward()
        if depth:
            step(depth - 1)

    step(2)
    routine = step.routine
    assert counts(routine) == [
        ("loop.net(loop.inputs).sum().backward()", 4, 0),
        ("step(depth - 1)", 4, 0),
    ]


def test_a_function_whose_lines_never_run(loop: Loop) -> None:
    def step() -> None:
        loop.optimizer.zero_grad()

    @functools.wraps(step)
    def compiled() -> None:
        loop.optimizer.zero_grad()

    with pytest.warns(RuntimeWarning, match="ran as Python, so nothing was traced"):
        trace(loop.net, loop.optimizer)(compiled)()


def test_recursion_follows_the_outermost_call(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def outer() -> None:
        inner(2)

    def inner(depth: int) -> None:
        loop.net(loop.inputs).sum().backward()
        if depth:
            inner(depth - 1)

    outer()
    assert counts(outer.routine) == [("inner(2)", 4, 0)]


@pytest.mark.parametrize("kind", ["generator", "coroutine", "builtin", "classmethod"])
def test_decorator_refuses_what_it_cannot_follow(loop: Loop, kind: str) -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def coroutine() -> None:
        pass

    function: Any = {
        "generator": generator,
        "coroutine": coroutine,
        "builtin": print,
        "classmethod": classmethod(lambda cls: None),
    }[kind]
    with pytest.raises(TypeError, match=r"takes a plain Python function, not .*put `with trace"):
        trace(loop.net, loop.optimizer)(function)
