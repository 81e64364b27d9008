"""`into`: the lines of the functions that the block calls."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from companion import trace
from companion.tracing.code.source import Source
from tests.package.tracing.watching import BOTH, assert_chained, changes, lines, loss_of, spy


def test_into_a_function(net: Any, sgd: torch.optim.SGD) -> None:
    def train_step() -> float:
        sgd.zero_grad()
        loss = loss_of(net)
        loss.backward()
        sgd.step()
        return loss.item()

    with trace(net, sgd, into=[train_step]) as routine:
        for _ in range(2):
            train_step()
    step = [
        "sgd.zero_grad()",
        "loss = loss_of(net)",
        "loss.backward()",
        "sgd.step()",
        "return loss.item()",
    ]
    loop = [(0, "test_into_a_function", "for _ in range(2):")]
    body = [
        (0, "test_into_a_function", "train_step()"),
        *[(1, "train_step", source) for source in step],
    ]
    assert lines(routine) == [*loop, *body, *loop, *body, *loop]
    assert [source for source, _, _ in changes(routine)] == [
        "loss.backward()",
        "sgd.step()",
        "sgd.zero_grad()",
        "loss.backward()",
        "sgd.step()",
    ]
    assert {r.line - routine.records[0].line for r in routine.records if r.depth == 0} == {0, 1}
    assert [r.step for r in routine.records] == [0] * 7 + [1] * 7 + [2]
    assert_chained(routine)


def test_the_calling_line_owns_what_it_does_before_and_after(
    net: Any, sgd: torch.optim.SGD
) -> None:
    def inner(_: object) -> Tensor:
        loss_of(net).backward()
        return torch.zeros(())

    with trace(net, sgd, into=[inner]) as routine:
        nn.init.constant_(net.bias, inner(nn.init.ones_(net.weight)).item() + 5)
    outer = "nn.init.constant_(net.bias, inner(nn.init.ones_(net.weight)).item() + 5)"
    assert changes(routine) == [
        (outer, (), ("weight",)),
        ("loss_of(net).backward()", BOTH, ()),
        (outer, (), ("bias",)),
    ]
    assert [r.depth for r in routine.records] == [0, 1, 1, 0]
    assert_chained(routine)


def test_a_calling_line_without_effect_of_its_own_has_one_record(net: Any) -> None:
    def inner() -> None:
        pass

    with trace(net, into=[inner]) as routine:
        inner()
        [inner() for _ in range(2)]  # type: ignore[func-returns-value]
    assert [r.source for r in routine.records] == [
        "inner()",
        "pass",
        "[inner() for _ in range(2)]  # type: ignore[func-returns-value]",
    ] + ["pass"] * 2


def test_into_a_method_and_a_decorated_function(net: Any, sgd: torch.optim.SGD) -> None:
    def twice(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapped(*args: Any) -> None:
            function(*args)
            function(*args)

        return wrapped

    class Trainer:
        @twice
        def backward(self) -> None:
            loss_of(net).backward()

        @torch.no_grad()
        def update(self) -> None:
            sgd.step()

        @classmethod
        def clear(cls) -> None:
            sgd.zero_grad()

        @staticmethod
        def nothing() -> None:
            pass

    trainer = Trainer()
    into = [Trainer.backward, trainer.update, Trainer.clear, Trainer.nothing]
    with trace(net, sgd, into=into) as routine:
        trainer.backward()
        trainer.update()
        trainer.clear()
        trainer.nothing()
    assert [(d, s) for d, _, s in lines(routine)] == [
        (0, "trainer.backward()"),
        (1, "loss_of(net).backward()"),
        (1, "loss_of(net).backward()"),
        (0, "trainer.update()"),
        (1, "sgd.step()"),
        (0, "trainer.clear()"),
        (1, "sgd.zero_grad()"),
        (0, "trainer.nothing()"),
        (1, "pass"),
    ]
    if sys.version_info >= (3, 11):
        assert routine.records[1].function.endswith("Trainer.backward")
    assert_chained(routine)


@pytest.mark.parametrize("spied", [False, True])
def test_into_a_generator(net: Any, sgd: torch.optim.SGD, spied: bool) -> None:
    def batches() -> Iterator[int]:
        for i in range(2):
            net.bias.grad = None
            yield i
            sgd.zero_grad()

    before, seen = sys.gettrace(), list[Any]()
    if spied:
        sys.settrace(spy(seen))
    try:
        generator = batches()
        with trace(net, sgd, into=[batches]) as routine:
            for _ in generator:
                loss_of(net).backward()
    finally:
        sys.settrace(before)
    assert changes(routine) == [
        ("loss_of(net).backward()", BOTH, ()),
        ("sgd.zero_grad()", BOTH, ()),
        ("loss_of(net).backward()", BOTH, ()),
        ("sgd.zero_grad()", BOTH, ()),
    ]
    assert [(r.depth, r.source) for r in routine.records[:6]] == [
        (0, "for _ in generator:"),
        (1, "for i in range(2):"),
        (1, "net.bias.grad = None"),
        (1, "yield i"),
        (0, "loss_of(net).backward()"),
        (0, "for _ in generator:"),
    ]
    assert_chained(routine)


def test_a_followed_generator_that_outlives_the_trace_is_left_as_it_was(net: Any) -> None:
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    generator: Any = numbers()
    with trace(net, into=[numbers]):
        next(generator)
    assert generator.gi_frame.f_trace is None
    assert next(generator) == 2


def test_into_recursion(net: Any) -> None:
    def dig(depth: int) -> None:
        if depth:
            dig(depth - 1)
        loss_of(net).backward()

    with trace(net, into=[dig]) as routine:
        dig(2)
    assert [(r.depth, r.source) for r in routine.records if r.changed_gradients] == [
        (3, "loss_of(net).backward()"),
        (2, "loss_of(net).backward()"),
        (1, "loss_of(net).backward()"),
    ]
    assert_chained(routine)


def test_into_the_decorated_function_itself(net: Any) -> None:
    def dig(depth: int) -> None:
        if depth:
            traced(depth - 1)
        loss_of(net).backward()

    traced = trace(net, into=[dig])(dig)
    traced(1)
    routine = traced.routine
    assert [r.depth for r in routine.records if r.changed_gradients] == [1, 0]


def test_into_a_closure_of_lbfgs(net: Any) -> None:
    lbfgs = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=3)

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss = loss_of(net)
        loss.backward()
        return loss

    with trace(net, lbfgs, into=[closure]) as routine:
        for _ in range(2):
            lbfgs.step(closure)
    moved = [r.source for r in routine.records if r.changed_parameters]
    # Between two calls of the closure the line that called it moves the parameters.
    assert set(moved) == {"lbfgs.step(closure)"}
    assert len(moved) > 2
    assert [r.depth for r in routine.records if r.changed_gradients][:1] == [1]
    assert routine.records[-1].step == 2
    assert_chained(routine)


def test_into_notes_an_exception_on_the_inner_line(net: Any) -> None:
    def outer() -> None:
        inner()

    def inner() -> None:
        loss_of(net).backward()
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"), trace(net, into=[outer, inner]) as routine:
        outer()
    assert [(r.depth, r.source, r.raised) for r in routine.records] == [
        (0, "outer()", None),
        (1, "inner()", None),
        (2, "loss_of(net).backward()", None),
        (2, 'raise RuntimeError("boom")', "RuntimeError: boom"),
    ]
    assert_chained(routine)


def test_into_an_exception_that_is_caught_ends_nothing(net: Any) -> None:
    def fails() -> None:
        loss_of(net).backward()
        raise KeyError("caught")

    with trace(net, into=[fails]) as routine:
        for _ in range(2):
            with contextlib.suppress(KeyError):
                fails()
            net.zero_grad()
    assert [r.depth for r in routine.records if r.changed_gradients] == [1, 0, 1, 0]
    assert all(r.raised is None for r in routine.records)
    assert routine.records[-1].depth == 0
    assert_chained(routine)


def test_into_an_inner_line_of_an_earlier_call_is_not_blamed(net: Any) -> None:
    def sometimes(fails: bool) -> None:
        if fails:
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"), trace(net, into=[sometimes]) as routine:
        for i in range(3):
            sometimes(i == 2)
    assert [r.index for r in routine.records if r.raised] == [len(routine.records) - 1]


def test_into_reads_the_source_of_each_function_once(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    build = Source.__init__

    def counted(self: Source, frame: FrameType) -> None:
        made.append(frame.f_code.co_name)
        build(self, frame)

    def inner() -> None:
        pass

    monkeypatch.setattr(Source, "__init__", counted)
    with trace(net, into=[inner]):
        for _ in range(5):
            inner()
    assert made == ["test_into_reads_the_source_of_each_function_once", "inner"]


def test_into_in_the_decorator(net: Any, sgd: torch.optim.SGD) -> None:
    def update() -> None:
        sgd.step()

    @trace(net, sgd, into=[update])
    def step() -> None:
        loss_of(net).backward()
        update()

    step()
    step()
    routine = step.routine
    assert lines(routine)[:3] == [
        (0, "step", "loss_of(net).backward()"),
        (0, "step", "update()"),
        (1, "update", "sgd.step()"),
    ]
    assert len(routine.records) == 6


def test_into_a_function_that_another_thread_runs_is_not_followed(net: Any) -> None:
    def work() -> None:
        net.bias.grad = torch.ones(2)

    with trace(net, into=[work]) as routine:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert {r.depth for r in routine.records} == {0}
    assert [grads for _, grads, _ in changes(routine)] == [("bias",)]
