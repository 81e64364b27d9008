"""`every`: each nth step is watched, and the others run free."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from companion import Trace, trace
from tests.package.running import forks
from tests.package.tracing.watching import Watch, changes, is_traced, loss_of, spy, traced_steps


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
        assert not is_traced()
    routine = step.routine
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
    routine = step.routine
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
    with pytest.raises(ValueError, match="boom"), trace(net, sgd, every=3) as routine:
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

    with pytest.raises(ValueError, match="boom"), trace(net, sgd, every=3) as routine:
        for i in range(9):
            loss_of(net).backward()
            sgd.step()
            check(i)
    assert traced_steps(routine) == [0]
    assert all(r.raised is None for r in routine.records)


def test_every_under_another_tracer(net: Any, sgd: torch.optim.SGD, source: str) -> None:
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
    assert between[7:] == [i % 3 != 0 or source == "monitoring" for i in range(7)]
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
    done = forks().run(tmp_path, code, str(script), how="code").well()
    return set(map(int, done.out.strip("[]\n").split(",")))


def test_coverage_misses_no_line(tmp_path: Path) -> None:
    assert run_under_coverage(tmp_path, 3) == set(range(1, 17))
