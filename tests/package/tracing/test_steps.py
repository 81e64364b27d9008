"""`steps` ends the watching; and which step it is."""

from __future__ import annotations

import contextlib
import gc
import sys
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import optimizer as optimizers

from companion import trace
from tests.package.tracing.watching import BOTH, Watch, changes, loss_of, traced_steps

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
    from companion.tracing.measure.meter import Meter

    @trace(net, sgd, steps=2)
    def step() -> None:
        loss_of(net).backward()
        sgd.step()

    for _ in range(3):
        step()
    monkeypatch.setattr(Meter, "__init__", None)  # cannot be called
    step()
    routine = step.routine
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

    monkeypatch.setattr("companion.tracing.measure.seens.read_all", refuse)
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
