"""The trace: which line changed what, in loops of every shape; and nothing is left behind."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from companion import LineRecord, Net, Trace, trace
from companion.measure.meter import Meter


class Loop(SimpleNamespace):
    """What a training loop has at hand."""

    net: Any
    optimizer: torch.optim.Optimizer
    criterion: nn.CrossEntropyLoss
    inputs: Tensor
    labels: Tensor


@pytest.fixture
def loop() -> Loop:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return Loop(
        net=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        inputs=torch.randn(8, 3),
        labels=torch.randint(2, (8,)),
    )


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = sys.gettrace()
    yield
    assert sys.gettrace() is before


def changes(routine: Trace) -> list[tuple[str, int, int]]:
    """Source, number of changed gradients, number of changed parameters: of lines that did."""
    return [
        (r.source, len(r.changed_gradients), len(r.changed_parameters))
        for r in routine.records
        if r.changed_gradients or r.changed_parameters
    ]


def sources(routine: Trace) -> list[str]:
    return [record.source for record in routine.records]


# The five lines.


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
    assert changes(routine) == [
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


def test_tracing_changes_nothing_in_the_training(loop: Loop) -> None:
    """Bit for bit, random numbers too."""

    def train(traced: bool) -> tuple[list[Tensor], Tensor]:
        net = copy.deepcopy(loop.net)
        net.append(nn.Dropout(0.5))
        optimizer = torch.optim.Adam(net.parameters())
        torch.manual_seed(1)
        with trace(net, optimizer) if traced else contextlib.nullcontext():
            for _ in range(5):
                optimizer.zero_grad()
                loop.criterion(net(loop.inputs), loop.labels).backward()
                optimizer.step()
        return [*net.parameters()], torch.get_rng_state()

    bare, traced = train(False), train(True)
    assert all(map(torch.equal, bare[0], traced[0]))
    assert torch.equal(bare[1], traced[1])
    assert not any(map(torch.equal, bare[0], loop.net.parameters()))


# Loops of every shape.


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
    assert changes(routine) == [
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
    assert changes(routine) == [
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
    assert changes(routine) == [("loop.optimizer.step()", 0, 4)] * 3


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
    assert changes(routine) == [("train_one_step()", 4, 4)]


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
    assert changes(routine) == [(header, 4, 0), (header, 4, 0)]


def test_exit_stack(loop: Loop) -> None:
    with contextlib.ExitStack() as stack:
        routine = stack.enter_context(trace(loop.net, loop.optimizer))
        loop.net(loop.inputs).sum().backward()
    assert changes(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]


def test_return_from_inside_the_block(loop: Loop) -> None:
    def step() -> tuple[str, Trace]:
        with trace(loop.net, loop.optimizer) as routine:
            loop.net(loop.inputs).sum().backward()
            return "done", routine

    result, routine = step()
    assert result == "done"
    assert changes(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]


def test_one_trace_over_several_blocks(loop: Loop) -> None:
    tracer = trace(loop.net, loop.optimizer)
    with tracer as first:
        loop.net(loop.inputs).sum().backward()
    loop.optimizer.zero_grad()  # not watched
    with tracer as second:
        loop.optimizer.zero_grad()
    assert first is second
    assert changes(first) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]
    assert [r.index for r in first.records] == [0, 1]
    assert set(first.records[1].before.gradients.values()) == {None}


# Every way to write a gradient or a parameter.


@pytest.mark.parametrize(
    ("write", "parameters"),
    [
        (lambda p: p.data.mul_(2), 1),  # bumps no version counter
        (lambda p: p.data.copy_(p.data + 1), 1),
        (lambda p: p.detach().add_(1), 1),
        (lambda p: p.data.numpy().__imul__(2), 1),
        (lambda p: setattr(p, "data", p.data + 1), 1),
        (lambda p: p.data.flatten()[-1:].add_(1), 1),  # one entry
        (lambda p: p.data.copy_(p.data.flip(0)), 1),  # the same sum, the same norm
        (lambda p: p.data.mul_(1), 0),
        (lambda p: p.data.copy_(p.data.clone()), 0),
        (lambda p: setattr(p, "data", p.data.clone()), 0),
        (lambda p: p.data.set_(p.data + 1), 0),  # .data is another tensor: p keeps its own
    ],
)
def test_writes_to_a_parameter(
    loop: Loop, write: Callable[[nn.Parameter], object], parameters: int
) -> None:
    with trace(loop.net, loop.optimizer) as routine:
        write(loop.net[2].weight)
    (record,) = routine.records
    assert record.changed_parameters == ("2.weight",) * parameters
    assert record.changed_gradients == ()


@pytest.mark.parametrize(
    ("write", "changed"),
    [
        (lambda p: setattr(p, "grad", None), True),
        (lambda p: p.grad.zero_(), True),
        (lambda p: p.grad.data.mul_(2), True),
        (lambda p: setattr(p, "grad", p.grad.clone()), False),
        (lambda p: setattr(p, "grad", p.grad.to_sparse()), True),
        (lambda p: p.grad.mul_(1), False),
    ],
)
def test_writes_to_a_gradient(
    loop: Loop, write: Callable[[nn.Parameter], object], changed: bool
) -> None:
    loop.net(loop.inputs).sum().backward()
    with trace(loop.net, loop.optimizer) as routine:
        write(loop.net[2].weight)
    assert routine.records[0].changed_gradients == ("2.weight",) * changed
    assert routine.records[0].changed_parameters == ()


def test_replaced_added_and_removed_layers(loop: Loop) -> None:
    net: Any = loop.net
    with trace(net, loop.optimizer) as routine:
        net[2].weight = nn.Parameter(net[2].weight + 1)
        net.append(nn.Linear(2, 2))
        del net[3]
    replaced, added, removed = routine.records
    assert replaced.changed_parameters == ("2.weight",)
    assert added.changed_parameters == ("3.weight", "3.bias")
    assert removed.changed_parameters == ("3.weight", "3.bias")
    assert "3.weight" not in removed.after.parameters


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_layer_gets_its_values_in_the_forward() -> None:
    net = nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(net.parameters())
    with trace(net, optimizer) as routine:
        net(torch.ones(1, 3))
    assert routine.records[0].changed_parameters == ("0.weight", "0.bias")
    assert routine.records[0].before.parameters["0.weight"] is None


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16, torch.complex64], ids=str)
def test_a_network_that_changes_its_dtype(loop: Loop, dtype: torch.dtype) -> None:
    with trace(loop.net, loop.optimizer) as routine:
        loop.net.to(dtype)
        loop.net[0].weight.data.zero_()
        loop.net[0].weight.data.zero_()
    assert [len(r.changed_parameters) for r in routine.records] == [4, 1, 0]


def test_meta_parameters_have_no_values(loop: Loop) -> None:
    net = nn.Linear(2, 2, device="meta")
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        net.to_empty(device="cpu")
    assert routine.records[0].changed_parameters == ("weight", "bias")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_parameter_that_cannot_be_read_is_named(loop: Loop) -> None:
    net = nn.Linear(2, 2)
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    net.odd = nn.Parameter(nested)
    with pytest.raises(TypeError, match=r"cannot read odd .*Parameter"):
        trace(net, torch.optim.SGD(net.parameters())).__enter__()


def test_a_complex_nan_keeps_its_other_half(loop: Loop) -> None:
    net = nn.Linear(1, 1, bias=False, dtype=torch.complex64)
    net.weight.data.fill_(complex(math.nan, 1))
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        net.weight.data.fill_(complex(math.nan, 1))
        net.weight.data.fill_(complex(math.nan, 2))
    assert [len(r.changed_parameters) for r in routine.records] == [0, 1]


def test_records_can_be_pickled_and_copied(loop: Loop) -> None:
    with trace(loop.net, loop.optimizer) as routine:
        loop.net(loop.inputs).sum().backward()
    for again in pickle.loads(pickle.dumps(routine.records)), copy.deepcopy(routine.records):
        assert again == routine.records


def test_tied_weights_are_one(loop: Loop) -> None:
    net: Any = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        net(loop.inputs).sum().backward()
    assert routine.records[0].changed_gradients == ("0.weight",)


def test_sparse_gradients() -> None:
    net = nn.Embedding(5, 2, sparse=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        net(torch.tensor([1, 1, 3])).sum().backward()
        optimizer.step()
        pass
    assert [len(r.changed_gradients) for r in routine.records] == [0, 1, 0, 0]
    assert [len(r.changed_parameters) for r in routine.records] == [0, 0, 1, 0]


def test_nan_and_inf_gradients_are_counted_and_do_not_change_by_themselves(loop: Loop) -> None:
    net, optimizer = loop.net, loop.optimizer
    with trace(net, optimizer) as routine:
        (net(loop.inputs) * math.inf).sum().backward()
        outputs = net(loop.inputs)
        outputs.sum()
    backward, forward, _ = routine.records
    assert len(backward.changed_gradients) == 4
    bias = backward.after.gradients["2.bias"]
    assert bias is not None
    assert bias.nonfinite == 2
    assert forward.changed_gradients == ()
    assert "not finite" in str(routine)


def test_weight_decay_moves_a_zero_gradient(loop: Loop) -> None:
    optimizer = torch.optim.SGD(loop.net.parameters(), lr=0.1, weight_decay=0.1)
    for p in loop.net.parameters():
        p.grad = torch.zeros_like(p)
    with trace(loop.net, optimizer) as routine:
        optimizer.step()
    assert len(routine.records[0].changed_parameters) == 4


def test_in_inference_mode_and_no_grad(loop: Loop) -> None:
    with torch.inference_mode(), trace(loop.net, loop.optimizer) as routine:
        loop.net(loop.inputs)
    with torch.no_grad(), trace(loop.net, loop.optimizer) as second:
        loop.net[0].weight.add_(1)
    assert changes(routine) == []
    assert second.records[0].changed_parameters == ("0.weight",)


# As a decorator.


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
    routine: Trace = step.routine  # type: ignore[attr-defined]
    assert changes(routine) == [("loss.backward()", 4, 0), ("loop.optimizer.step()", 0, 4)]
    assert len(routine.records) == 5
    step(loop.inputs, labels=loop.labels)
    assert len(routine.records) == 10
    assert changes(routine)[2] == ("loop.optimizer.zero_grad()", 4, 0)


def test_decorated_method_and_decorated_twice(loop: Loop) -> None:
    class Trainer:
        @torch.enable_grad()
        def step(self) -> int:
            loop.net(loop.inputs).sum().backward()
            return 3

    traced = trace(loop.net, loop.optimizer)(Trainer().step)
    assert traced() == 3
    routine: Trace = traced.routine  # type: ignore[attr-defined]
    assert changes(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]


def test_decorated_function_that_raises(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def step() -> None:
        loop.net(loop.inputs).sum().backward()
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        step()
    routine: Trace = step.routine  # type: ignore[attr-defined]
    assert [r.raised for r in routine.records] == [None, "RuntimeError: out of memory"]


def test_a_function_that_calls_itself(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def step(depth: int) -> None:
        loop.net(loop.inputs).sum().backward()
        if depth:
            step(depth - 1)

    step(2)
    routine: Trace = step.routine  # type: ignore[attr-defined]
    assert changes(routine) == [
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
    assert changes(outer.routine) == [("inner(2)", 4, 0)]  # type: ignore[attr-defined]


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


# Exceptions.


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
    assert changes(routine) == [("net(inputs).sum().backward()", 4, 0)]
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
    assert changes(routine) == [("backward_and_fail()", 4, 0)]
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
    assert changes(routine) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]


# Bad input: an error that names it, at the line the user wrote.


def test_not_a_module(loop: Loop) -> None:
    wanted = r"trace\(\) takes networks .*optimizers .*and a GradScaler, not list"
    with pytest.raises(TypeError, match=wanted):
        trace(list(loop.net.parameters()), loop.optimizer)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes networks .* not float"):
        trace(loop.net, 0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"needs the network, a torch.nn.Module: trace\(net, opt"):
        trace(loop.optimizer)


def test_network_without_parameters(loop: Loop) -> None:
    with pytest.raises(ValueError, match="ReLU has no parameters, so there is nothing to trace"):
        trace(nn.ReLU(), loop.optimizer)


def test_optimizer_of_another_network(loop: Loop) -> None:
    with pytest.raises(ValueError, match="this SGD holds none of the 4 parameters of this Seq"):
        trace(copy.deepcopy(loop.net), loop.optimizer)


def test_optimizer_of_a_part_of_the_network(loop: Loop) -> None:
    optimizer = torch.optim.SGD(loop.net[2].parameters(), lr=0.1)
    loop.net(loop.inputs).sum().backward()
    with trace(loop.net, optimizer) as routine:
        optimizer.step()
    assert routine.records[0].changed_parameters == ("2.weight", "2.bias")


def test_entering_twice(loop: Loop) -> None:
    tracer = trace(loop.net, loop.optimizer)
    with tracer as routine:
        with pytest.raises(RuntimeError, match="already running"):
            tracer.__enter__()
        loop.net(loop.inputs).sum().backward()
    assert ("loop.net(loop.inputs).sum().backward()", 4, 0) in changes(routine)


def test_a_trace_inside_a_trace(loop: Loop) -> None:
    frame = sys._getframe()
    with trace(loop.net, loop.optimizer) as outer:
        loop.optimizer.zero_grad()
        with trace(loop.net, loop.optimizer) as inner:
            loop.net(loop.inputs).sum().backward()
        loop.optimizer.step()
    assert changes(inner) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]
    assert changes(outer) == [*changes(inner), ("loop.optimizer.step()", 0, 4)]
    assert frame.f_trace is None


def test_a_trace_in_a_function_called_inside_a_trace(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def step() -> None:
        loop.net(loop.inputs).sum().backward()
        loop.optimizer.step()

    with trace(loop.net, loop.optimizer) as outer:
        step()
        loop.optimizer.zero_grad()
    assert changes(outer) == [("step()", 4, 4), ("loop.optimizer.zero_grad()", 4, 0)]
    assert len(step.routine.records) == 2  # type: ignore[attr-defined]


# Other tracers.


def spy(seen: list[tuple[str, str, int]]) -> Any:
    """A tracer as a debugger would install it: it follows every frame of this file."""

    def local(frame: FrameType, event: str, arg: object) -> Any:
        seen.append((event, frame.f_code.co_name, frame.f_lineno))
        return local

    def everywhere(frame: FrameType, event: str, arg: object) -> Any:
        return local(frame, event, arg) if frame.f_code.co_filename == __file__ else None

    return everywhere


def test_another_tracer_goes_on_seeing_every_event_and_is_handed_back(loop: Loop) -> None:
    def helper() -> None:
        loop.net(loop.inputs).sum().backward()

    def step(traced: bool) -> None:
        with trace(loop.net, loop.optimizer) if traced else contextlib.nullcontext() as routine:
            helper()
            loop.optimizer.step()
        if routine is not None:
            assert changes(routine) == [("helper()", 4, 0), ("loop.optimizer.step()", 0, 4)]

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


def test_a_tracer_installed_inside_the_block_ends_the_trace_with_a_warning(loop: Loop) -> None:
    before = sys.gettrace()
    tracer = spy([])
    try:
        with pytest.warns(RuntimeWarning, match="took Python's tracing over"):  # noqa: SIM117
            with trace(loop.net, loop.optimizer) as routine:
                loop.net(loop.inputs).sum().backward()
                sys.settrace(tracer)
                loop.optimizer.step()
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert changes(routine)[0] == ("loop.net(loop.inputs).sum().backward()", 4, 0)


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
    assert changes(routine) == [
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
    assert changes(first) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]
    assert changes(second) == [*changes(first), ("loop.optimizer.step()", 0, 4)]


def test_other_threads_are_not_traced(loop: Loop) -> None:
    def work() -> None:
        tracers.append(sys.gettrace())

    tracers: list[object] = []
    before = threading.gettrace() if hasattr(threading, "gettrace") else None
    with trace(loop.net, loop.optimizer) as routine:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert tracers == [before]
    assert len(routine.records) == 3


# What the course says about the routine.


def train(order: list[str], *, set_to_none: bool = True) -> list[Tensor]:
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(4):
        inputs, labels = torch.randn(4, 3, 32, 32), torch.randint(10, (4,))
        loss = nn.functional.cross_entropy(net(inputs), labels)
        for line in order:
            if line == "zero_grad":
                optimizer.zero_grad(set_to_none=set_to_none)
            else:
                loss.backward() if line == "backward" else optimizer.step()
    return list(net.parameters())


def test_zero_grad_last_is_the_same_training() -> None:
    """Exercise 3 of chapter 1."""
    first = train(["zero_grad", "backward", "step"])
    assert all(map(torch.equal, first, train(["backward", "step", "zero_grad"])))
    assert not any(map(torch.equal, first, train(["backward", "step"])))


@pytest.mark.parametrize("missing", ["zero_grad", "outputs", "loss", "backward", "step"])
def test_a_forgotten_line(missing: str) -> None:
    """Chapter 1: three of the five lines can be forgotten without an error, two cannot."""
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    before = copy.deepcopy(net.state_dict())

    def train() -> None:
        outputs = net(torch.randn(4, 3))
        loss = nn.functional.cross_entropy(outputs, torch.randint(2, (4,)))
        for _ in range(3):
            inputs, labels = torch.randn(4, 3), torch.randint(2, (4,))
            if missing != "zero_grad":
                optimizer.zero_grad()
            if missing != "outputs":
                outputs = net(inputs)
            if missing != "loss":
                loss = nn.functional.cross_entropy(outputs, labels)
            if missing != "backward":
                loss.backward()
            if missing != "step":
                optimizer.step()

    if missing in ("outputs", "loss"):
        with pytest.raises(RuntimeError, match=r"second time|modified by an inplace"):
            train()
        return
    train()
    moved = not all(map(torch.equal, before.values(), net.state_dict().values()))
    assert moved == (missing == "zero_grad")


def test_a_zero_gradient_coasts_on_and_none_stands_still() -> None:
    """Chapter 3: where None and 0 differ."""
    for set_to_none in True, False:
        p = nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9)
        p.grad = torch.ones(1)
        optimizer.step()
        before = p.detach().clone()
        optimizer.zero_grad(set_to_none=set_to_none)
        optimizer.step()
        assert torch.equal(p, before) == set_to_none


def test_none_and_zero_train_alike_where_every_parameter_has_a_gradient() -> None:
    """Chapter 3: plain SGD does not notice, nor does momentum while gradients keep coming."""
    order = ["zero_grad", "backward", "step"]
    assert all(map(torch.equal, train(order), train(order, set_to_none=False)))


def test_no_warning_in_ordinary_use(loop: Loop) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with trace(loop.net, loop.optimizer) as routine:
            loop.optimizer.zero_grad()
        str(routine)
