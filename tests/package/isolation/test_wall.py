"""What happens behind the wall when our own work fails, is too slow, or must not be done."""

from __future__ import annotations

import operator
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.optim.optimizer as torch_optimizer
from torch import Tensor, nn

import companion
from companion import Trace, gradient_sums, parameter_sums, trace
from companion.isolation import wall
from companion.isolation.budget import Budget
from companion.tracing.measure.seen import Room

PACKAGE = Path(companion.__file__).parent


def pair() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Linear(64, 64)
    return net, torch.optim.SGD(net.parameters(), lr=0.1)


def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    net(torch.ones(2, 64)).square().mean().backward()
    optimizer.step()


def several(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(5):
        step(net, optimizer)


def is_as_before() -> bool:
    return not torch_optimizer._global_optimizer_post_hooks


@pytest.mark.usefixtures("source")
def test_our_own_failure_ends_the_watching_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    net, optimizer = pair()
    before = sys.gettrace()
    with warnings.catch_warnings(record=True) as heard, trace(net, optimizer) as routine:
        warnings.simplefilter("always")
        step(net, optimizer)
        monkeypatch.setattr("companion.tracing.events.variables.reads", operator.neg)  # of a text
        step(net, optimizer)
        step(net, optimizer)
    monkeypatch.undo()
    assert sys.gettrace() is before
    assert is_as_before()
    assert [r.source for r in routine.records if r.changed_parameters] == ["step(net, optimizer)"]
    (said,) = routine.unwatched
    assert [str(one.message) for one in heard] == [said]
    assert said.startswith("line ")
    assert "of test_wall.py: companion cannot go on (TypeError: bad operand" in said
    assert str(routine).endswith(f"not watched: {said}")
    reference, again = pair()
    for _ in range(3):
        step(reference, again)
    assert all(map(torch.equal, net.parameters(), reference.parameters()))


def test_where_warnings_are_errors_it_is_said_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net, optimizer = pair()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with trace(net, optimizer):
            step(net, optimizer)
            monkeypatch.setattr("companion.tracing.events.variables.reads", operator.neg)
            step(net, optimizer)
    monkeypatch.undo()
    assert "RuntimeWarning: line " in capsys.readouterr().err


def test_watching_ends_when_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    net, optimizer = pair()
    with trace(net, optimizer) as routine:
        step(net, optimizer)
        monkeypatch.setattr(Budget, "is_spent", True)
        step(net, optimizer)
        step(net, optimizer)
    assert [r.source for r in routine.records if r.changed_parameters] == ["step(net, optimizer)"]
    assert routine.unwatched == ["the rest: watching had taken 0 s, more than the script itself"]


def test_what_is_not_compared_is_said_and_blamed_on_no_line() -> None:
    net, optimizer = pair()
    alias = next(net.parameters()).data
    spent = [False]

    class Copies(Budget):
        @property
        def is_spent(self) -> bool:
            return spent[0]

    tracer = trace(net, optimizer)
    tracer._follower._recorder._copies = Copies(0, 0)
    with tracer as routine:
        alias.mul_(2)
        spent[0] = True
        alias.mul_(2)
        spent[0] = False
        quiet = 1
        alias.mul_(2)
    assert quiet == 1
    moved = [record.source for record in routine.records if record.changed_parameters]
    assert moved == ["alias.mul_(2)", "alias.mul_(2)"]
    assert len(routine.unwatched) == 2  # the line itself, and the one that ended the moment
    for said in routine.unwatched:
        assert "writes that torch does not count" in said


def test_beyond_their_room_no_copies_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then sum and norm decide."""
    net, optimizer = pair()
    weight = next(net.parameters())
    made: list[Room] = []

    def small(room: Room) -> None:
        room.left = 1000
        made.append(room)

    monkeypatch.setattr(Room, "__init__", small)
    with trace(net, optimizer) as routine:
        weight.data.mul_(2)
        weight.data = weight.data.flip(0)  # other values, the same sum and norm or nearly
        weight.data.add_(1)
    assert [len(record.changed_parameters) for record in routine.records][::2] == [1, 1]
    assert {room.left for room in made} == {1000}


def restore(tensor: Tensor, saved: Tensor) -> None:
    tensor.untyped_storage().resize_(saved.nbytes)
    tensor.data.copy_(saved)


def test_freed_memory_is_no_value_and_no_change() -> None:
    net, optimizer = pair()
    weight: Any = net.weight
    with trace(net, optimizer) as routine:
        saved = weight.detach().clone()
        weight.untyped_storage().resize_(0)
        sums = parameter_sums(net), gradient_sums(net)
        restore(weight, saved)
        step(net, optimizer)
    assert sums[0]["weight"] is None
    assert sums[0]["bias"] is not None
    changed = [r.source for r in routine.records if "weight" in r.changed_parameters]
    assert changed == ["step(net, optimizer)"]


class Secret(Tensor):
    """A tensor that only its own code could read."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> Secret:
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape)

    def __init__(self, inner: Tensor) -> None:
        self.held = inner

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        inner = [one.held if isinstance(one, Secret) else one for one in args]
        out = function(*inner, **(kwargs or {}))
        return args[0] if out is inner[0] else cls(out)


def test_of_a_type_with_code_of_its_own_only_that_it_was_written() -> None:
    net, _ = pair()
    net.weight = nn.Parameter(Secret(torch.ones(64, 64)), requires_grad=False)
    with trace(net) as routine:
        quiet = 1
        net.weight.add_(1)
        quiet += 1
    assert quiet == 2
    assert [record.changed_parameters for record in routine.records] == [(), ("weight",), ()]
    assert routine.records[1].after.parameters["weight"] is None


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_inside_transforms_nothing_is_read() -> None:
    net, optimizer = pair()
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        out = torch.func.functional_call(net, parameters, (x,))
        return nn.functional.huber_loss(out[:1, None], x[:1])

    with trace(net, optimizer, into=[loss]) as routine:
        torch.func.grad(loss)(parameters, torch.ones(64))
        step(net, optimizer)
    assert [r.source for r in routine.records if r.changed_parameters] == ["step(net, optimizer)"]


def test_an_agent_that_acts_is_passed_over_until_it_learns() -> None:
    net, optimizer = pair()
    with trace(net, optimizer) as routine:
        for i in range(2500):
            acted = i
            if i > 2490:
                step(net, optimizer)
    assert acted == 2499
    assert 1000 < len(routine.records) < 1200
    steps = {record.step for record in routine.records if record.changed_parameters}
    assert len(steps) == 8  # of nine: the first one wakes us


@pytest.mark.usefixtures("source")
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signals on this system")
@pytest.mark.parametrize("error", [TimeoutError, RuntimeError, NotImplementedError, KeyError])
def test_an_exception_of_a_signal_passes_without_us(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes at a moment of our choice: while a line is measured."""

    def handler(number: int, frame: object) -> None:
        raise error("now")

    before = signal.signal(signal.SIGUSR1, handler)
    net, optimizer = pair()
    calls = []

    class Raises:
        """In place of torch's own function, which `is_calm` asks."""

        def __call__(self) -> None:
            calls.append(1)
            if len(calls) == 9:
                signal.raise_signal(signal.SIGUSR1)

    try:
        monkeypatch.setattr(wall, "_tracing", Raises())
        with pytest.raises(error) as caught, trace(net, optimizer, into=[several]) as routine:
            several(net, optimizer)
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGUSR1, before)
    ours = [entry for entry in caught.traceback if Path(entry.path).is_relative_to(PACKAGE)]
    assert len(ours) == (sys.version_info < (3, 11))
    assert isinstance(routine, Trace)
    assert is_as_before()
