"""What the course says about the routine, by training without a trace."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from companion import Net


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
