"""Bad input: an error that names it, at the line the user wrote."""

from __future__ import annotations

import copy
import functools
import sys
from typing import Any

import pytest
import torch
from torch import nn

from companion import trace
from tests.package.tracing.watching import Loop, counts


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
    assert ("loop.net(loop.inputs).sum().backward()", 4, 0) in counts(routine)


def test_a_trace_inside_a_trace(loop: Loop) -> None:
    frame = sys._getframe()
    with trace(loop.net, loop.optimizer) as outer:
        loop.optimizer.zero_grad()
        with trace(loop.net, loop.optimizer) as inner:
            loop.net(loop.inputs).sum().backward()
        loop.optimizer.step()
    assert counts(inner) == [("loop.net(loop.inputs).sum().backward()", 4, 0)]
    assert counts(outer) == [*counts(inner), ("loop.optimizer.step()", 0, 4)]
    assert frame.f_trace is None


def test_a_trace_in_a_function_called_inside_a_trace(loop: Loop) -> None:
    @trace(loop.net, loop.optimizer)
    def step() -> None:
        loop.net(loop.inputs).sum().backward()
        loop.optimizer.step()

    with trace(loop.net, loop.optimizer) as outer:
        step()
        loop.optimizer.zero_grad()
    assert counts(outer) == [("step()", 4, 4), ("loop.optimizer.zero_grad()", 4, 0)]
    assert len(step.routine.records) == 2


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
