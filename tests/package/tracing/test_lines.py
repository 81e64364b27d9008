"""Which line changed what, in loops of every shape."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from companion import LineRecord, Trace, trace
from tests.package.tracing.watching import Loop, counts, sources


def test_the_five_lines_of_a_second_step(loop: Loop) -> None:
    net, optimizer, criterion, inputs, labels = vars(loop).values()
    criterion(net(inputs), labels).backward()
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
    assert sources(routine) == [
        "optimizer.zero_grad()",
        "outputs = net(inputs)",
        "loss = criterion(outputs, labels)",
        "loss.backward()",
        "optimizer.step()",
    ]
    assert counts(routine) == [
        ("optimizer.zero_grad()", 4, 0),
        ("loss.backward()", 4, 0),
        ("optimizer.step()", 0, 4),
    ]
    zero, _, _, backward, step = routine.records
    assert set(zero.after.gradients.values()) == {None}
    for name, parameter in net.named_parameters():
        assert zero.before.gradients[name] is not None
        reading = backward.after.gradients[name]
        assert reading is not None
        assert parameter.grad is not None
        assert reading.sum == pytest.approx(parameter.grad.double().sum().item(), abs=1e-7)
        now = step.after.parameters[name]
        assert now is not None
        assert now.sum == pytest.approx(parameter.double().sum().item(), abs=1e-6)
    for one, two in zip(routine.records, routine.records[1:], strict=False):
        assert one.after is two.before
    assert [r.index for r in routine.records] == [0, 1, 2, 3, 4]
    assert [r.line for r in routine.records] == list(range(zero.line, zero.line + 5))
    assert all(r.file == __file__ for r in routine.records)


def test_records_are_immutable(loop: Loop) -> None:
    with trace(loop.net, loop.optimizer) as routine:
        loop.optimizer.zero_grad()
    record = routine.records[0]
    assert isinstance(record, LineRecord)
    with pytest.raises(AttributeError):
        record.line = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        record.after.gradients["0.weight"] = None  # type: ignore[index]


def test_a_loop_gives_a_record_for_each_run_of_a_line(loop: Loop) -> None:
    net, optimizer, criterion, inputs, labels = vars(loop).values()
    with trace(net, optimizer) as routine:
        for _ in range(3):
            optimizer.zero_grad()
            criterion(net(inputs), labels).backward()
            optimizer.step()
    body = [
        "for _ in range(3):",
        "optimizer.zero_grad()",
        "criterion(net(inputs), labels).backward()",
        "optimizer.step()",
    ]
    assert sources(routine) == body * 3 + body[:1]
    assert [r.indent for r in routine.records[:2]] == [8, 12]
    assert counts(routine) == [
        ("criterion(net(inputs), labels).backward()", 4, 0),
        ("optimizer.step()", 0, 4),
        *[
            ("optimizer.zero_grad()", 4, 0),
            ("criterion(net(inputs), labels).backward()", 4, 0),
            ("optimizer.step()", 0, 4),
        ]
        * 2,
    ]


def test_while_if_try_and_comprehensions(loop: Loop) -> None:
    net, optimizer, criterion, inputs, labels = vars(loop).values()
    steps = 0
    with trace(net, optimizer) as routine:
        while steps < 2:
            steps += 1
            if steps == 2:
                losses = [criterion(net(x[None]), y[None]) for x, y in zip(inputs, labels)]  # noqa: B905
                # fmt: off
                sum(
                    loss
                    for loss in losses
                ).backward()
                # fmt: on
            try:
                raise KeyError("caught")
            except KeyError:
                optimizer.step()
            finally:
                optimizer.zero_grad()
    backward = "sum(\n    loss\n    for loss in losses\n).backward()"
    assert counts(routine) == [
        (backward, 4, 0),
        ("optimizer.step()", 0, 4),
        ("optimizer.zero_grad()", 4, 0),
    ]
    assert sources(routine).count(backward) == 1
    assert sources(routine).count('raise KeyError("caught")') == 2
    assert all(record.raised is None for record in routine.records)


def test_a_statement_over_several_lines_is_one_record(loop: Loop) -> None:
    net, optimizer = loop.net, loop.optimizer
    with trace(net, optimizer) as routine:
        for _ in range(2):
            loss = loop.criterion(
                net(
                    loop.inputs,
                ),
                loop.labels,
            )
            (
                loss
                .backward()
            )  # fmt: skip
    assert len(routine.records) == 3 + 2 * 2
    assert [r.source.splitlines()[0] for r in routine.records[:3]] == [
        "for _ in range(2):",
        "loss = loop.criterion(",
        "(",
    ]
    assert [len(r.changed_gradients) for r in routine.records] == [0, 0, 4, 0, 0, 4, 0]


def test_a_loop_of_one_line_in_its_body(loop: Loop) -> None:
    loop.criterion(loop.net(loop.inputs), loop.labels).backward()
    with trace(loop.net, loop.optimizer) as routine:
        for _ in range(3):
            loop.optimizer.step()
    assert counts(routine) == [("loop.optimizer.step()", 0, 4)] * 3


def test_all_on_one_line(loop: Loop) -> None:
    # fmt: off
    with trace(loop.net, loop.optimizer) as routine: loop.net(loop.inputs).sum().backward()  # noqa: E701
    # fmt: on
    assert [(len(r.changed_gradients), len(r.changed_parameters)) for r in routine.records] == [
        (4, 0)
    ]


def test_a_line_owns_what_it_calls(loop: Loop) -> None:
    def train_one_step() -> None:
        loop.optimizer.zero_grad()
        loop.criterion(loop.net(loop.inputs), loop.labels).backward()
        loop.optimizer.step()

    with trace(loop.net, loop.optimizer) as routine:
        train_one_step()
    assert counts(routine) == [("train_one_step()", 4, 4)]


def test_lines_before_and_after_the_block_are_not_recorded(loop: Loop) -> None:
    loop.net(loop.inputs).sum().backward()
    with trace(loop.net, loop.optimizer) as routine:
        pass
    loop.optimizer.zero_grad()
    assert sources(routine) == ["pass"]


def test_other_things_on_the_with_line(loop: Loop) -> None:
    @contextlib.contextmanager
    def clearing() -> Iterator[None]:
        loop.optimizer.zero_grad()
        yield
        loop.net(loop.inputs).sum().backward()

    loop.net(loop.inputs).sum().backward()
    with (
        trace(loop.net, loop.optimizer) as routine,
        clearing(),
    ):
        loop.optimizer.step()
    header = "with (\n    trace(loop.net, loop.optimizer) as routine,\n    clearing(),\n):"
    assert counts(routine) == [(header, 4, 0), (header, 4, 0)]


def test_exit_stack(loop: Loop) -> None:
    with contextlib.ExitStack() as stack:
        routine = stack.enter_context(trace(loop.net, loop.optimizer))
        loop.net(loop.inputs).sum().backward()
    assert counts(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]


def test_return_from_inside_the_block(loop: Loop) -> None:
    def step() -> tuple[str, Trace]:
        with trace(loop.net, loop.optimizer) as routine:
            loop.net(loop.inputs).sum().backward()
            return "done", routine

    result, routine = step()
    assert result == "done"
    assert counts(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]


def test_one_trace_over_several_blocks(loop: Loop) -> None:
    tracer = trace(loop.net, loop.optimizer)
    with tracer as first:
        loop.net(loop.inputs).sum().backward()
    loop.optimizer.zero_grad()  # not watched
    with tracer as second:
        loop.optimizer.zero_grad()
    assert first is second
    assert counts(first) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]
    assert [r.index for r in first.records] == [0, 1]
    assert set(first.records[1].before.gradients.values()) == {None}
