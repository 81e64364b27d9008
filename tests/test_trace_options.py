"""The trace's options: `into`, `every`, `steps`, several networks; what a state holds; threads."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import optimizer as optimizers
from torch.utils.data import DataLoader, Dataset

from companion import LineRecord, Trace, trace
from companion.tracing.code.source import Source

INPUTS, LABELS = torch.ones(4, 3), torch.tensor([0, 1, 0, 1])


@pytest.fixture
def net() -> Any:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


@pytest.fixture
def sgd(net: Any) -> torch.optim.SGD:
    return torch.optim.SGD(net.parameters(), lr=0.1)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before, hooks = sys.gettrace(), len(optimizers._global_optimizer_post_hooks)
    yield
    assert sys.gettrace() is before
    assert len(optimizers._global_optimizer_post_hooks) == hooks


def loss_of(net: Any) -> Tensor:
    return nn.functional.cross_entropy(net(INPUTS), LABELS)


def forward(net: Any, times: int) -> list[Tensor]:
    return [loss_of(net) for _ in range(times)]


def lines(routine: Trace) -> list[tuple[int, str, str]]:
    """Depth, name of the function, source."""
    return [(r.depth, r.function.rpartition(".")[2], r.source) for r in routine.records]


def changes(routine: Trace) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [
        (r.source, r.changed_gradients, r.changed_parameters)
        for r in routine.records
        if r.changed_gradients or r.changed_parameters
    ]


def assert_chained(routine: Trace) -> None:
    """What one line leaves behind is what the next one finds; numbers count up."""
    for one, two in zip(routine.records, routine.records[1:], strict=False):
        assert one.after is two.before
        assert one.step <= two.step
    assert [r.index for r in routine.records] == list(range(len(routine.records)))


BOTH = ("weight", "bias")
HERE = "test_"  # the functions of the lines at depth 0


# into


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
    routine: Trace = traced.routine  # type: ignore[attr-defined]
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

    with pytest.raises(ValueError, match="late"), trace(net, into=[sometimes]) as routine:  # noqa: PT012
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
    routine: Trace = step.routine  # type: ignore[attr-defined]
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


# every


def traced_steps(routine: Trace) -> list[int]:
    return sorted({r.step for r in routine.records if r.changed_parameters})


class Watch:
    """Notes for each step whether Python is being traced, and this frame is."""

    def __init__(self) -> None:
        self.on: list[bool] = []

    def look(self) -> None:
        frame = sys._getframe(1)
        assert (frame.f_trace is None) == (sys.gettrace() is None)
        self.on.append(sys.gettrace() is not None)


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
@pytest.mark.parametrize("every", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("last", ["step", "clear", "log"])
def test_every_watches_exactly_each_nth_step(
    net: Any, sgd: torch.optim.SGD, every: int, last: str
) -> None:
    """Whichever line comes last in the loop."""
    watch = Watch()
    with trace(net, sgd, every=every) as routine:
        for i in range(10):
            if last != "clear":
                sgd.zero_grad()
            watch.look()
            loss_of(net).backward()
            sgd.step()
            if last == "clear":
                sgd.zero_grad()
            elif last == "log":
                _ = i
    wanted = list(range(0, 10, every))
    assert traced_steps(routine) == wanted
    assert watch.on == [i % every == 0 for i in range(10)]
    assert {r.step for r in routine.records} <= {*wanted, 10}
    if every > 1:
        for step in wanted:
            sources = [r.source for r in routine.records if r.step == step]
            assert sources.count("sgd.step()") == 1
            assert sources.count("loss_of(net).backward()") == 1


def test_every_records_of_a_watched_step_begin_where_the_unwatched_one_ended(
    net: Any, sgd: torch.optim.SGD
) -> None:
    with trace(net, sgd, every=2) as routine:
        for _ in range(4):
            loss_of(net).backward()
            sgd.step()
            sgd.zero_grad()
    for record in routine.records:
        if record.source == "loss_of(net).backward()":
            assert set(record.before.gradients.values()) == {None}
    assert [r.step for r in routine.records if r.source == "sgd.zero_grad()"] == [0, 2]


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
def test_every_with_into(net: Any, sgd: torch.optim.SGD) -> None:
    watch = Watch()

    def update(i: int) -> None:
        watch.look()
        sgd.step()
        _ = i

    def train(i: int) -> None:
        sgd.zero_grad()
        loss_of(net).backward()
        update(i)
        _ = i

    with trace(net, sgd, every=3, into=[train, update]) as routine:
        for i in range(7):
            train(i)
    assert traced_steps(routine) == [0, 3, 6]
    assert watch.on == [i % 3 == 0 for i in range(7)]
    for step in 0, 3, 6:
        found = [(r.depth, r.source) for r in routine.records if r.step == step]
        assert found[0] == (0, "for i in range(7):")
        assert (1, "sgd.zero_grad()") in found
        assert (2, "sgd.step()") in found


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
def test_every_in_the_decorator_over_many_calls(net: Any, sgd: torch.optim.SGD) -> None:
    watch = Watch()

    @trace(net, sgd, every=4)
    def step() -> float:
        watch.look()
        sgd.zero_grad()
        loss = loss_of(net)
        loss.backward()
        sgd.step()
        return loss.item()

    for _ in range(10):
        step()
        assert sys.gettrace() is None
    routine: Trace = step.routine  # type: ignore[attr-defined]
    assert traced_steps(routine) == [0, 4, 8]
    assert watch.on == [i % 4 == 0 for i in range(10)]
    assert [r.source for r in routine.records if r.step == 4] == [
        "watch.look()",
        "sgd.zero_grad()",
        "loss = loss_of(net)",
        "loss.backward()",
        "sgd.step()",
        "return loss.item()",
    ]


def test_every_in_a_decorated_function_that_calls_itself(net: Any, sgd: torch.optim.SGD) -> None:
    """Its outermost call is the one that is followed, also if watching begins in the middle."""

    @trace(net, sgd, every=3)
    def step(depth: int) -> None:
        loss_of(net).backward()
        sgd.step()
        if depth:
            step(depth - 1)
        sgd.zero_grad()

    for depth in 0, 0, 1, 0, 2, 0, 1, 0, 0, 0:
        step(depth)
    routine: Trace = step.routine  # type: ignore[attr-defined]
    assert {r.depth for r in routine.records} == {0}
    assert {r.step % 3 for r in routine.records} == {0}


def test_every_with_two_optimizers(net: Any) -> None:
    a, b = (torch.optim.SGD([p], lr=0.1) for p in net.parameters())
    with trace(net, a, b, every=2) as routine:
        for _ in range(5):
            net.zero_grad()
            loss_of(net).backward()
            a.step()
            b.step()
    assert traced_steps(routine) == [0, 2, 4]
    for step in 0, 2, 4:
        moved = [r.changed_parameters for r in routine.records if r.step == step]
        assert [one for one in moved if one] == [("weight",), ("bias",)]


def test_every_with_lbfgs(net: Any) -> None:
    lbfgs = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=2)

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss = loss_of(net)
        loss.backward()
        return loss

    with trace(net, lbfgs, every=2) as routine:
        for _ in range(5):
            lbfgs.step(closure)
    assert traced_steps(routine) == [0, 2, 4]


def test_every_needs_an_optimizer(net: Any) -> None:
    with pytest.raises(ValueError, match=r"every counts an optimizer's steps: trace\(net, opt"):
        trace(net, every=2)


def test_every_and_an_exception_in_an_unwatched_step(net: Any, sgd: torch.optim.SGD) -> None:
    with pytest.raises(ValueError, match="boom"), trace(net, sgd, every=3) as routine:  # noqa: PT012
        for i in range(9):
            loss_of(net).backward()
            if i == 4:
                raise ValueError("boom")
            sgd.step()
            if i == 5:
                raise ValueError
    assert traced_steps(routine) == [0, 3]
    assert all(r.raised is None for r in routine.records)


def test_every_blames_no_earlier_line_for_an_exception_right_before_a_watched_step(
    net: Any, sgd: torch.optim.SGD
) -> None:
    def check(i: int) -> None:
        if i == 2:
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"), trace(net, sgd, every=3) as routine:  # noqa: PT012
        for i in range(9):
            loss_of(net).backward()
            sgd.step()
            check(i)
    assert traced_steps(routine) == [0]
    assert all(r.raised is None for r in routine.records)


def spy(seen: list[Any]) -> Any:
    """A tracer as a debugger would install it: it follows every frame of this file."""

    def local(frame: FrameType, event: str, arg: object) -> Any:
        seen.append((event, frame.f_code.co_name, frame.f_lineno))
        return local

    def everywhere(frame: FrameType, event: str, arg: object) -> Any:
        return local(frame, event, arg) if frame.f_code.co_filename == __file__ else None

    return everywhere


def test_every_under_another_tracer(net: Any, sgd: torch.optim.SGD) -> None:
    """It sees every line in every step, and is what stands in gettrace between them."""

    def helper(i: int) -> None:
        between.append(sys.gettrace() is tracer)
        _ = i

    def train(traced: bool) -> Trace | None:
        watching = trace(net, sgd, every=3, into=[helper]) if traced else contextlib.nullcontext()
        with watching as routine:
            for i in range(7):
                loss_of(net).backward()
                helper(i)
                sgd.step()
        return routine

    seen: dict[bool, list[Any]] = {False: [], True: []}
    before, between = sys.gettrace(), list[bool]()
    for traced in False, True:
        tracer = spy(seen[traced])
        sys.settrace(tracer)
        try:
            routine = train(traced)
            assert sys.gettrace() is tracer
        finally:
            sys.settrace(before)
    assert routine is not None
    assert traced_steps(routine) == [0, 3, 6]
    assert between[7:] == [i % 3 != 0 for i in range(7)]
    wanted = [event for event in seen[False] if event[0] == "line"]
    assert [event for event in seen[True] if event[0] == "line"] == wanted


def test_a_paused_trace_around_another_one(net: Any, sgd: torch.optim.SGD) -> None:
    """Each is told of the lines once, whoever is on top after a pause."""
    frame = sys._getframe()
    with (
        trace(net, sgd, every=2) as outer,
        trace(net, sgd, every=3) as middle,
        trace(net, sgd) as inner,
    ):
        for _ in range(8):
            sgd.zero_grad()
            loss_of(net).backward()
            sgd.step()
    assert traced_steps(outer) == [0, 2, 4, 6]
    assert traced_steps(middle) == [0, 3, 6]
    assert traced_steps(inner) == list(range(8))
    assert frame.f_trace is None or sys.gettrace() is not None


def test_a_pause_in_an_inner_frame_leaves_another_trace_alone(
    net: Any, sgd: torch.optim.SGD
) -> None:
    def train() -> None:
        for _ in range(4):
            loss_of(net).backward()
            sgd.step()

    with trace(net, sgd, every=2, into=[train]) as outer, trace(net, sgd) as inner:
        train()
        sgd.zero_grad()
    assert traced_steps(outer) == [0, 2]
    assert [s for s, _, _ in changes(inner)] == ["train()", "sgd.zero_grad()"]


def run_under_coverage(tmp_path: Path, every: int) -> set[int]:
    """The lines that coverage's C tracer has seen in a loop that is traced."""
    script = tmp_path / "loop.py"
    script.write_text(
        textwrap.dedent(
            f"""\
            import torch
            from companion import trace
            net = torch.nn.Linear(3, 2)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            def late(i):
                if i == 5:
                    return 1
                return 0
            with trace(net, optimizer, every={every}, into=[late]) as routine:
                for i in range(7):
                    net(torch.ones(1, 3)).sum().backward()
                    optimizer.step()
                    if late(i):
                        x = 1
            steps = {{r.step for r in routine.records if r.changed_parameters}}
            assert steps == set(range(0, 7, {every})), steps
            """
        )
    )
    code = (
        "import coverage, runpy, sys; c = coverage.Coverage(data_file=None, include=[sys.argv[1]]);"
        "c.start(); runpy.run_path(sys.argv[1]); c.stop();"
        "print(sorted(c.get_data().lines(c.get_data().measured_files().pop())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    return set(map(int, done.stdout.strip("[]\n").split(",")))


def test_coverage_misses_no_line(tmp_path: Path) -> None:
    assert run_under_coverage(tmp_path, 3) == set(range(1, 17))


# steps


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
@pytest.mark.parametrize(("every", "steps", "wanted"), [(1, 2, [0, 1]), (3, 2, [0, 3])])
def test_steps_ends_the_watching(
    net: Any, sgd: torch.optim.SGD, every: int, steps: int, wanted: list[int]
) -> None:
    watch = Watch()
    with trace(net, sgd, every=every, steps=steps) as routine:
        for _ in range(9):
            watch.look()
            loss_of(net).backward()
            sgd.step()
            sgd.zero_grad()
    assert traced_steps(routine) == wanted
    assert {r.step for r in routine.records} == set(wanted)
    assert watch.on == [i in wanted for i in range(9)]
    assert not sgd._optimizer_step_post_hooks


def test_steps_in_the_decorator_reads_nothing_once_it_has_ended(
    net: Any, sgd: torch.optim.SGD, monkeypatch: pytest.MonkeyPatch
) -> None:
    from companion.measure.meter import Meter

    @trace(net, sgd, steps=2)
    def step() -> None:
        loss_of(net).backward()
        sgd.step()

    for _ in range(3):
        step()
    monkeypatch.setattr(Meter, "__init__", None)  # cannot be called
    step()
    routine: Trace = step.routine  # type: ignore[attr-defined]
    assert traced_steps(routine) == [0, 1]


def test_steps_without_end(net: Any, sgd: torch.optim.SGD) -> None:
    with trace(net, sgd, steps=None) as routine:
        for _ in range(12):
            sgd.step()
    assert len(routine.records) == 25


def test_nothing_is_kept_alive(net: Any, sgd: torch.optim.SGD) -> None:
    """Neither the frames nor what they held."""

    @trace(net, sgd, every=2)
    def step() -> weakref.ref[Tensor]:
        big = torch.zeros(1000)
        loss_of(net).backward()
        sgd.step()
        return weakref.ref(big)

    held = [step() for _ in range(4)]
    gc.collect()
    assert [one() for one in held] == [None] * 4


# Bad values


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, 2.0, True, "3", "a", float("nan"), [1], float("inf")]
)
@pytest.mark.parametrize(
    ("name", "cure"), [("every", "1 to watch each step"), ("steps", "None for no end")]
)
def test_every_and_steps_must_be_positive_integers(
    net: Any, sgd: torch.optim.SGD, name: str, value: Any, cure: str
) -> None:
    with pytest.raises(ValueError, match="must be a positive integer") as caught:
        trace(net, sgd, **{name: value})
    assert str(caught.value) == f"{name} must be a positive integer ({cure}), not {value!r}"


def test_every_cannot_be_none(net: Any, sgd: torch.optim.SGD) -> None:
    with pytest.raises(ValueError, match=r"every must be a positive integer \(1 to .*, not None"):
        trace(net, sgd, every=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [print, len, nn.Linear, object(), functools.partial(print), 3])
def test_into_names_what_it_cannot_follow(net: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="into takes functions and methods written in Python") as e:
        trace(net, into=[value])
    assert repr(value) in str(e.value)
    assert "into=[trainer.training_step]" in str(e.value)


@pytest.mark.parametrize("value", [print, None, "train", 3])
def test_into_must_be_a_list(net: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"takes a list of your functions, into=\[train_step\], no"):
        trace(net, into=value)


# Several networks and optimizers


def test_names_are_the_callers_variables() -> None:
    generator, critic = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1), nn.ReLU())
    g_adam = torch.optim.Adam(generator.parameters(), lr=0.25)
    c_adam = torch.optim.Adam(critic.parameters(), lr=0.5)
    with trace(generator, critic, g_adam, c_adam) as routine:
        critic(generator(torch.ones(4, 2))).mean().backward()
        c_adam.step()
        generator.eval()
    assert routine.network == "generator, critic"
    backward, step, mode = routine.records
    assert list(backward.after.parameters) == [
        "generator.weight",
        "generator.bias",
        "critic.0.weight",
        "critic.0.bias",
    ]
    assert backward.changed_gradients == tuple(backward.after.parameters)
    assert step.changed_parameters == ("critic.0.weight", "critic.0.bias")
    assert [(e.kind, e.name) for e in step.events] == [("step", "c_adam")]
    assert step.after.learning_rates == {"g_adam": (0.25,), "c_adam": (0.5,)}
    assert dict(mode.after.training) == {
        "generator": False,
        "critic": True,
        "critic.0": True,
        "critic.1": True,
    }


GLOBAL = nn.Linear(1, 1)


def test_a_local_name_comes_before_a_global_one() -> None:
    model, other = GLOBAL, nn.Linear(1, 1)
    with trace(model, other) as routine:
        pass
    names = {name.split(".")[0] for name in routine.records[0].after.parameters}
    assert names == {"model", "other"}


def test_a_mapping_gives_the_names(net: Any, sgd: torch.optim.SGD) -> None:
    with trace({"G": net, "D": nn.Linear(1, 1), "opt": sgd}) as routine:
        loss_of(net).backward()
        sgd.step()
    assert routine.records[0].changed_gradients == ("G.weight", "G.bias")
    assert routine.records[1].events[0].name == "opt"


def test_objects_without_a_name_have_their_class_s() -> None:
    with trace(nn.Linear(1, 1), nn.Linear(1, 1), nn.Bilinear(1, 1, 1)) as routine:
        pass
    names = [name.split(".")[0] for name in routine.records[0].after.parameters]
    assert list(dict.fromkeys(names)) == ["Linear", "Linear_2", "Bilinear"]


def test_the_same_network_twice_is_one(net: Any, sgd: torch.optim.SGD) -> None:
    with trace(net, net, sgd, sgd) as routine:
        loss_of(net).backward()
    assert routine.records[0].changed_gradients == BOTH


def test_shared_parameters_are_named_once() -> None:
    encoder, decoder = nn.Linear(3, 3, bias=False), nn.Linear(3, 3)
    decoder.weight = encoder.weight
    with trace(encoder, decoder) as routine:
        decoder(encoder(INPUTS)).sum().backward()
    assert routine.records[0].changed_gradients == ("encoder.weight", "decoder.bias")
    assert list(routine.records[0].after.parameters) == ["encoder.weight", "decoder.bias"]


def test_one_grad_scaler(net: Any) -> None:
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(TypeError, match="takes one GradScaler, not 2"):
        trace(net, scaler, torch.amp.GradScaler("cpu"))


# What a state holds


def test_the_factor_of_a_grad_scaler(net: Any, sgd: torch.optim.SGD) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    with trace(net, sgd, scaler) as routine:
        scaler.scale(loss_of(net)).backward()
        scaler.step(sgd)
        scaler.update()
        net.weight.grad.fill_(float("inf"))
        scaler.scale(loss_of(net))
        scaler.step(sgd)
        scaler.update()
    by_source: dict[str, list[LineRecord]] = {}
    for record in routine.records:
        by_source.setdefault(record.source, []).append(record)
    assert routine.records[0].before.scale == 8.0
    grown, shrunk = by_source["scaler.update()"]
    assert (grown.before.scale, grown.after.scale) == (8.0, 16.0)
    assert (shrunk.before.scale, shrunk.after.scale) == (16.0, 8.0)
    stepped, skipped = by_source["scaler.step(sgd)"]
    assert stepped.changed_parameters == BOTH
    assert skipped.changed_parameters == ()


def test_no_factor_without_a_scaler_that_is_enabled(net: Any) -> None:
    with trace(net, torch.amp.GradScaler("cpu", enabled=False)) as routine:
        pass
    assert routine.records[0].after.scale is None


def test_learning_rates(net: Any) -> None:
    groups: Any = [{"params": [net.weight], "lr": 0.5}, {"params": [net.bias]}]
    adam = torch.optim.Adam(groups, lr=torch.tensor(0.25))
    scheduler = torch.optim.lr_scheduler.StepLR(adam, 1, gamma=0.5)
    with trace(net, adam) as routine:
        adam.step()
        scheduler.step()
        adam.param_groups[1]["lr"] = 3
    assert [dict(r.after.learning_rates) for r in routine.records] == [
        {"adam": (0.5, 0.25)},
        {"adam": (0.25, 0.125)},
        {"adam": (0.25, 3.0)},
    ]


def test_a_learning_rate_that_is_learned_itself(net: Any) -> None:
    """Warnings are errors here; float() of such a tensor would warn."""
    rate = torch.tensor(0.5, requires_grad=True)
    sgd = torch.optim.SGD(net.parameters(), lr=rate, differentiable=True)
    with trace(net, sgd) as routine:
        pass
    assert routine.records[0].after.learning_rates == {"sgd": (0.5,)}


def test_modes_and_requires_grad(net: Any) -> None:
    net = nn.Sequential(net, nn.Dropout())
    with trace(net) as routine:
        net.eval()
        net[1].train()
        net[0].weight.requires_grad_(False)
        len(BOTH)
    assert [dict(r.after.training) for r in routine.records[:2]] == [
        {"": False, "0": False, "1": False},
        {"": False, "0": False, "1": True},
    ]
    assert routine.records[2].before.requires_grad == {"0.weight": True, "0.bias": True}
    assert routine.records[2].after.requires_grad == {"0.weight": False, "0.bias": True}
    assert routine.records[3].before is routine.records[3].after  # nothing new is made
    assert routine.records[3].after.training is routine.records[1].after.training


# Which step it is


def test_steps_are_counted_where_the_loop_comes_round(net: Any, sgd: torch.optim.SGD) -> None:
    with trace(net, sgd) as routine:
        for _ in range(3):
            sgd.zero_grad()
            loss_of(net).backward()
            sgd.step()
            _ = 0
    assert [r.step for r in routine.records] == [0] * 5 + [1] * 5 + [2] * 5 + [3]


def test_two_optimizers_in_turn_make_one_step(net: Any) -> None:
    a, b = (torch.optim.SGD([p], lr=0.1) for p in net.parameters())
    with trace(net, a, b) as routine:
        for _ in range(3):
            loss_of(net).backward()
            a.step()
            b.step()
    assert [r.step for r in routine.records if r.source == "a.step()"] == [0, 1, 2]
    assert [r.step for r in routine.records if r.source == "b.step()"] == [0, 1, 2]


def test_three_critic_steps_and_one_of_the_generator(net: Any) -> None:
    """The second step of one of them ends a step."""
    critic, generator = (torch.optim.SGD([p], lr=0.1) for p in net.parameters())
    with trace(net, critic, generator) as routine:
        for _ in range(2):
            for _ in range(3):
                loss_of(net).backward()
                critic.step()
            loss_of(net).backward()
            generator.step()
    stepped = [(r.step, r.source[0]) for r in routine.records if r.changed_parameters]
    assert stepped == [
        (0, "c"),
        (0, "c"),
        (1, "c"),
        (1, "g"),
        (2, "c"),
        (2, "c"),
        (3, "c"),
        (3, "g"),
    ]


def test_accumulated_gradients_are_one_step(net: Any, sgd: torch.optim.SGD) -> None:
    with trace(net, sgd) as routine:
        for i in range(6):
            loss_of(net).backward()
            if i % 2:
                sgd.step()
                sgd.zero_grad()
    backwards = [r.step for r in routine.records if r.source == "loss_of(net).backward()"]
    assert backwards == [0, 0, 1, 1, 2, 2]


def test_steps_by_hand(net: Any) -> None:
    with trace(net) as routine:
        for _ in range(2):
            loss_of(net).backward()
            with torch.no_grad():
                for p in net.parameters():
                    assert p.grad is not None
                    p -= 0.1 * p.grad
                    p.grad = None
    assert [r.step for r in routine.records if r.source.startswith("p -=")] == [0, 0, 1, 1]
    assert [r.changed_parameters for r in routine.records if r.changed_parameters] == [
        ("weight",),
        ("bias",),
    ] * 2


def test_an_optimizer_that_nobody_named(net: Any, sgd: torch.optim.SGD) -> None:
    with trace(net) as routine:
        for _ in range(2):
            loss_of(net).backward()
            sgd.step()
    events = [(r.step, e.kind, e.name) for r in routine.records for e in r.events]
    assert [event for event in events if event[1] == "step"] == [
        (0, "step", "SGD"),
        (1, "step", "SGD"),
    ]
    step = next(e for r in routine.records for e in r.events if e.kind == "step")
    assert step.details["held"] == BOTH


def test_an_optimizer_that_nobody_named_of_the_class_of_one_without_a_variable(
    net: Any,
) -> None:
    """`trace(self.net, self.optimizer)`: it is called SGD. Another SGD's step is not its own."""
    a, b = (torch.optim.SGD([p], lr=0.1) for p in net.parameters())
    holder = [a]
    del a
    with trace(net, holder[0]) as routine:
        for _ in range(3):
            loss_of(net).backward()
            b.step()
            b.step()
            holder[0].step()
    names = [e.name for r in routine.records if r.step == 0 for e in r.events if e.kind == "step"]
    assert names == ["SGD (not watched)", "SGD (not watched)", "SGD"]
    assert routine.records[-1].step == 3


@pytest.mark.parametrize("fails", [False, True])
def test_the_optimizers_hooks_are_gone(net: Any, sgd: torch.optim.SGD, fails: bool) -> None:
    seen: list[int] = []
    mine = sgd.register_step_post_hook(lambda *_: seen.append(1))
    with contextlib.suppress(ZeroDivisionError), trace(net, sgd):
        sgd.step()
        if fails:
            _ = 1 / 0
    assert seen == [1]
    assert list(sgd._optimizer_step_post_hooks) == [mine.id]
    assert not optimizers._global_optimizer_post_hooks


def test_a_network_that_cannot_be_read_leaves_no_hook(
    net: Any, sgd: torch.optim.SGD, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(tensors: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("companion.measure.seens.read_all", refuse)
    net.odd = nn.Parameter(torch.ones(2000))
    tracer = trace(net, sgd)
    with pytest.raises((TypeError, RuntimeError)):
        tracer.__enter__()
    assert not sgd._optimizer_step_post_hooks
    monkeypatch.undo()
    with tracer:  # it can be entered afterwards
        pass


def test_the_network_alone(net: Any) -> None:
    with trace(net) as routine:
        loss_of(net).backward()
        net.zero_grad()
    assert changes(routine) == [
        ("loss_of(net).backward()", BOTH, ()),
        ("net.zero_grad()", BOTH, ()),
    ]


# Other threads and processes


def test_a_write_by_another_thread_is_seen_on_the_line_that_was_under_way(net: Any) -> None:
    def work() -> None:
        with torch.no_grad():
            net.weight.mul_(2)

    thread = threading.Thread(target=work)
    with trace(net) as routine:
        thread.start()
        thread.join()
    (change,) = changes(routine)
    assert change[1:] == ((), ("weight",))
    assert change[0] in ("thread.start()", "thread.join()")


def test_two_traces_in_two_threads() -> None:
    results: dict[int, list[tuple[str, tuple[str, ...], tuple[str, ...]]]] = {}
    barrier = threading.Barrier(2)

    def train(i: int) -> None:
        net = nn.Linear(3, 2)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        barrier.wait()
        with trace(net, sgd, every=2) as routine:
            for _ in range(3):
                loss_of(net).backward()
                sgd.step()
        results[i] = changes(routine)

    threads = [threading.Thread(target=train, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    one = [("loss_of(net).backward()", BOTH, ()), ("sgd.step()", (), BOTH)]
    assert results == {0: one * 2, 1: one * 2}


class Tracing(Dataset[tuple[bool, int]]):
    """Each item says whether the process that made it is traced, and which it is."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[bool, int]:
        frame: FrameType | None = sys._getframe()
        traced = sys.gettrace() is not None
        while frame is not None:
            traced = traced or frame.f_trace is not None
            frame = frame.f_back
        return traced, os.getpid()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_of_a_data_loader_are_not_traced(net: Any, sgd: torch.optim.SGD) -> None:
    loader = DataLoader(Tracing(), batch_size=2, num_workers=2, multiprocessing_context="fork")
    found: list[tuple[bool, int]] = []
    with trace(net, sgd) as routine:
        for traced, process in loader:
            found += zip(traced.tolist(), process.tolist(), strict=True)
            loss_of(net).backward()
            sgd.step()
    assert [traced for traced, _ in found] == [False] * 4
    assert os.getpid() not in {process for _, process in found}
    assert [r.source for r in routine.records if r.changed_parameters] == ["sgd.step()"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_leaves_the_block_without_a_word(net: Any, sgd: torch.optim.SGD) -> None:
    before, seen = sys.gettrace(), list[Any]()
    tracer = spy(seen)
    sys.settrace(tracer)
    child = -1
    try:
        with trace(net, sgd) as routine:
            child = os.fork()
            sgd.step()  # computes nothing: torch's threads are not in the child
        if child == 0:
            mine = [r.source for r in routine.records]
            clean = sys.gettrace() is tracer and not sgd._optimizer_step_post_hooks
            os._exit(0 if clean and not mine else 1)
    except BaseException:
        if child == 0:
            os._exit(2)
        raise
    finally:
        sys.settrace(before)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(routine.records) == 2


def test_what_a_trace_leaves_behind_is_small() -> None:
    """The README and the docstring say about 200 bytes for each tensor that a step changed."""
    net = nn.ModuleList(nn.Linear(8, 8) for _ in range(50))
    sgd = torch.optim.SGD(net.parameters(), lr=1e-3)
    inputs, steps, changed = torch.ones(4, 8), 20, 2 * 100  # a gradient and a parameter each

    def train() -> Trace:
        with trace(net, sgd) as routine:
            for _ in range(steps):
                sgd.zero_grad()
                sum(layer(inputs).square().mean() for layer in net).backward()
                sgd.step()
        return routine

    train()  # what is made once
    tracemalloc.start()
    try:
        routine = train()
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] / steps / changed
    finally:
        tracemalloc.stop()
    assert sum(len(r.changed_parameters) for r in routine.records) == steps * 100
    assert 100 < left < 300


def test_a_trace_of_too_many_lines_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("companion.tracing.recorder.MOST_LINES", 10)
    net = nn.Linear(1, 1)
    with trace(net, steps=None) as routine:
        for _ in range(100):
            net(torch.ones(1, 1))
    assert len(routine.records) == 10
    assert sys.gettrace() is None or "companion" not in repr(sys.gettrace())
