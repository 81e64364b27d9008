"""A fault that comes after the watched steps: the guard names it, its step and its parameter."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from companion import trace
from companion.tracing.guard.judges import FIRST
from companion.tracing.guard.norms import Norms
from tests.package.tracing.guard.conftest import Looking
from tests.package.tracing.guard.training import batch, guarded, pair, scaled, train


def nan_at_40(loss: Tensor, i: int) -> Tensor:
    return loss * math.nan if i == 40 else loss


def test_nan_at_its_step(looking: Looking) -> None:
    net, optimizer = pair()
    with guarded(net, optimizer=optimizer) as guard:
        train(net, optimizer, 45, change=nan_at_40)
    (seen,) = guard.seen
    assert (seen.kind, seen.step, seen.exact, seen.parameter) == (
        "not-finite", 40, True, "conv1.weight",
    )  # fmt: skip
    assert guard.sentences == [
        "optimizer, step 40: the gradient of conv1.weight has NaN in it, and 9 more of 10 "
        "gradients are not finite"
    ]


def test_nan_by_a_step_where_not_each_was_looked_at(looking: Looking) -> None:
    looking(7)
    net, optimizer = pair()
    with guarded(net, optimizer=optimizer) as guard:
        train(net, optimizer, 45, change=nan_at_40)
    (seen,) = guard.seen
    assert (seen.step, seen.exact, guard.checked) == (42, False, 6)
    assert seen.words.startswith("optimizer, by step 42: the gradient of conv1.weight has NaN")
    assert seen.words.endswith("; at step 35 all were finite")


def test_infinity_in_one_parameter_of_two_networks(looking: Looking) -> None:
    body, head = nn.Linear(4, 3), nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
    with guarded(body=body, head=head, sgd=optimizer) as guard:
        for i in range(1, 6):
            optimizer.zero_grad()
            head(body(torch.ones(2, 4))).sum().backward()
            assert head.bias.grad is not None
            if i == 3:
                head.bias.grad.fill_(-math.inf)
            optimizer.step()
    assert guard.sentences == ["sgd, step 3: the norm of the gradient of head.bias is infinite"]


def test_a_norm_that_float32_cannot_hold_is_finite(looking: Looking) -> None:
    """Each of a million entries is finite, and so is what is said of them."""
    net = nn.Linear(1000, 1000, bias=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    with guarded(net, optimizer=optimizer) as guard:
        for i in range(1, FIRST + 4):
            net.weight.grad = torch.full_like(net.weight, 1.0 if i <= FIRST else 3e38)
            optimizer.step()
    assert [seen.kind for seen in guard.seen] == ["zero-lr", "norm"]
    assert "the norm of the gradients was 3e+41;" in guard.sentences[1]


def test_a_norm_that_explodes(looking: Looking) -> None:
    net, optimizer = pair(momentum=0.0)
    with guarded(net, optimizer=optimizer) as guard:
        train(net, optimizer, 60, change=lambda loss, i: loss * 1e5 if i == 60 else loss)
    (seen,) = guard.seen
    assert (seen.kind, seen.step, seen.exact) == ("norm", 60, True)
    assert "of the 59 norms seen before, the median is " in seen.words
    largest = max(net.named_parameters(), key=lambda one: _norm(one[1].grad))
    assert seen.parameter == largest[0]
    assert seen.words.endswith(f"the largest part is that of {largest[0]}")


def _norm(tensor: Tensor | None) -> float:
    assert tensor is not None
    return float(tensor.norm())


@pytest.mark.parametrize("rate", [0.0, 0, torch.tensor(0.0)], ids=["float", "int", "tensor"])
def test_a_learning_rate_that_stays_at_0(rate: Any, looking: Looking) -> None:
    net, optimizer = pair(lr=0.1)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.1})
    with guarded(net, optimizer=optimizer) as guard:
        train(net, optimizer, 20)
        optimizer.param_groups[0]["lr"] = rate
        train(net, optimizer, 15)  # one group still learns
        assert guard.seen == []
        optimizer.param_groups[1]["lr"] = rate
        train(net, optimizer, 10)
    assert guard.sentences == [
        "optimizer, step 36: the learning rate of every group was 0, and so it was at each of 10 "
        "looks up to step 45"
    ]


def test_nan_that_no_look_met(looking: Looking) -> None:
    """Between two looks, or in a sparse gradient: the parameters have it at the end."""
    looking(99)
    net, optimizer = pair()
    with guarded(net, optimizer=optimizer) as guard:
        train(net, optimizer, 45, change=nan_at_40)
    assert guard.sentences == [
        "optimizer, by step 45: conv1.weight has NaN in it at the end, and 9 more of 10 parameters "
        "have"
    ]
    table = nn.Embedding(9, 2, sparse=True)
    sgd = torch.optim.SGD(table.parameters(), lr=0.1)
    with guarded(table, sgd=sgd) as guard:
        (table(torch.tensor([3])).sum() * math.nan).backward()
        sgd.step()
    assert guard.sentences == ["sgd, by step 1: weight has NaN in it at the end"]


class Late(Norms):
    """As from a GPU: they have come by the second time that somebody asks, or later."""

    asked, comes = 0, 2

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__(tensors)
        self.is_local = False

    def have_come(self, *, wait: bool = False) -> bool:
        self.asked += 1
        return wait or self.asked >= self.comes

    def values(self) -> list[float]:
        assert self.asked
        return super().values()


@pytest.mark.parametrize("last", [60, 49])
def test_what_comes_late(last: int, looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks are 16 steps apart, at each the one before is asked for; the last is waited for."""
    monkeypatch.setattr("companion.tracing.guard.one.Norms", Late)
    net, optimizer = pair()
    with guarded(net, optimizer=optimizer) as guard:
        train(net, optimizer, last, change=nan_at_40)
    (sentence,) = guard.sentences
    assert sentence.startswith("optimizer, by step 49: the gradient of conv1.weight has NaN in it")
    assert sentence.endswith("; at step 33 all were finite")
    assert guard.checked == 4


def test_what_does_not_come_before_the_end(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one look at a time; none is dropped for the next."""
    monkeypatch.setattr("companion.tracing.guard.one.Norms", Late)
    monkeypatch.setattr(Late, "comes", 999)
    net, optimizer = pair()
    with guarded(net, optimizer=optimizer) as guard:
        net.conv1.weight.grad = torch.full_like(net.conv1.weight, math.inf)
        optimizer.step()
        train(net, optimizer, 40)
    (said,) = guard.sentences
    assert said == "optimizer, step 1: the norm of the gradient of conv1.weight is infinite"
    assert guard.checked == 1


def test_a_parameter_that_is_gone_when_its_norm_comes(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion.tracing.guard.one.Norms", Late)
    net = nn.ParameterList([torch.ones(2), torch.ones(3)])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with guarded(net, optimizer=optimizer) as guard:
        net[0].grad = torch.full((2,), math.nan)
        optimizer.step()
        net[0] = nn.Parameter(torch.ones(2))
        optimizer.param_groups[0]["params"] = [*net.parameters()]
    (said,) = guard.sentences
    assert said.startswith("optimizer, step 1: the gradient of a parameter that is gone has NaN")


@pytest.mark.parametrize("first", [1, 31])
def test_a_scaler_that_skips_all(first: int, looking: Looking) -> None:
    net, optimizer = pair()
    scaler = torch.amp.GradScaler("cpu")
    with guarded(net, optimizer=optimizer, scaler=scaler) as guard:
        scaled(net, optimizer, scaler, range(1, 3), range(0))
        scaled(net, optimizer, scaler, range(3, 61), range(first, 61))
    skipped = 61 - max(first, 3)
    made = 60 - skipped - 1  # the scale exists since the first step, and is read at it
    scale = 2.0 ** (16 - skipped)
    assert guard.sentences == [
        f"GradScaler, by step {made + 1}: its scale fell from 65536 to {scale:g}, as it does when "
        f"{skipped} steps or more are skipped; {made} {'was' if made == 1 else 'were'} made"
    ]


def test_what_follows_the_steps_of_a_trace() -> None:
    """With its own pace; and only once the block is over."""
    net, optimizer = pair()
    with trace(net, optimizer, steps=2) as routine:
        for i in range(1, 61):
            inputs, labels = batch(i)
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(inputs), labels)
            if i >= 40:
                loss = loss * math.nan
            loss.backward()
            optimizer.step()
        assert routine.guard == []
    (said,) = routine.guard
    found = re.search(r"step (\d+)", said)
    assert found is not None
    assert 40 <= int(found[1]) <= 60  # a machine that is busy may leave it to the end
    assert "conv1.weight has NaN in it" in said
    assert str(routine).splitlines()[-1] == f"guard: {said}"


def test_a_function_goes_on_where_it_was(looking: Looking) -> None:
    """Steps are counted over all calls of a traced function; the first that is over looks on."""
    net, optimizer = pair()

    @trace(net, optimizer, steps=2)
    def some(first: int) -> None:
        for i in range(first, first + 5):
            inputs, labels = batch(i)
            optimizer.zero_grad()
            nan_at_40(functional.cross_entropy(net(inputs), labels), i).backward()
            optimizer.step()

    for first in 36, 41:
        some(first)
        (said,) = some.routine.guard
        assert said.startswith("optimizer, step 5: ")
    assert str(some.routine).count("guard: ") == 1
