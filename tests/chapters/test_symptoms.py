"""The page that leads from what a reader sees to the section that explains it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import nn

from companion.diagnosis.rules import RULES
from tests import ROOT

PAGE = (ROOT / "book/symptoms.md").read_text(encoding="utf-8")


def test_every_rule_is_reached_and_leads_to_its_section() -> None:
    found = re.findall(r"\[`([\w-]+)`\]\((\d\d_\w+)\.ipynb(#[\w-]+)\)", PAGE)
    leads = {(name, f"{page}.html{section}") for name, page, section in found}
    assert leads == {(rule.name, rule.section) for rule in RULES}


def second_backward() -> None:
    loss = nn.Linear(2, 1)(torch.ones(1, 2)).square().sum()
    loss.backward()
    loss.backward()


def argmax() -> None:
    outputs().argmax(dim=1).float().mean().backward()


def detach() -> None:
    outputs().detach().mean().backward()


def item() -> None:
    torch.tensor(outputs().mean().item()).backward()


def numpy() -> None:
    torch.from_numpy(outputs().detach().numpy()).mean().backward()


def no_grad() -> None:
    with torch.no_grad():
        loss = outputs().mean()
    loss.backward()


def outputs() -> torch.Tensor:
    return cast(torch.Tensor, nn.Linear(2, 2)(torch.ones(1, 2)))


def step_in_between() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.ones(1, 2)).sum().backward()
    loss = net(torch.ones(1, 2)).sum()
    optimizer.step()
    loss.backward()


def scheduler_first() -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, step_size=1).step()


def other_shape() -> None:
    nn.functional.mse_loss(torch.zeros(4, 1), torch.zeros(4))


def no_gradient_to_subtract() -> None:
    weight = nn.Linear(2, 1).weight
    weight.grad * 0.1  # type: ignore[operator]


def no_gradient_to_ask() -> None:
    nn.Linear(2, 1).weight.grad.abs()  # type: ignore[union-attr]


NO_GRAPH = "element 0 of tensors does not require grad and does not have a grad_fn"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (second_backward, "Trying to backward through the graph a second time"),
        *((cut, NO_GRAPH) for cut in (argmax, detach, item, numpy, no_grad)),
        (
            step_in_between,
            "one of the variables needed for gradient computation has been modified by an inplace "
            "operation",
        ),
        (scheduler_first, "lr_scheduler.step() before optimizer.step()"),
        (other_shape, "Using a target size that is different to the input size"),
        (no_gradient_to_subtract, "unsupported operand type(s)"),
        (no_gradient_to_ask, "'NoneType' object has no attribute"),
    ],
)
def test_what_pytorch_says(code: Callable[[], None], message: str) -> None:
    """Word for word, so that a reader who searches for it arrives; without shapes and quotes."""
    assert message in PAGE
    with pytest.raises((RuntimeError, TypeError, AttributeError, UserWarning)) as raised:
        code()
    said = re.sub(r" \(torch\.Size\(\[[\d, ]*\]\)\)|`", "", str(raised.value))
    assert message in said


def test_a_network_that_knows_nothing() -> None:
    """Ten classes, equal scores: what the loss is stuck at."""
    loss = nn.functional.cross_entropy(torch.zeros(1, 10), torch.tensor([3]))
    assert f"{loss:.3f}" == "2.303"
    assert "2.303 for ten classes" in PAGE


@pytest.mark.parametrize(
    ("cleared", "options", "moves"),
    [
        (None, {}, True),
        ("zeros", {}, False),
        ("zeros", {"momentum": 0.9}, True),
        ("zeros", {"weight_decay": 0.1}, True),
        ("None", {"momentum": 0.9}, False),
        ("None", {"weight_decay": 0.1}, False),
    ],
)
def test_when_a_frozen_parameter_moves(
    cleared: str | None, options: dict[str, Any], moves: bool
) -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, **options)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    net.weight.requires_grad_(False)
    if cleared is not None:
        optimizer.zero_grad(set_to_none=cleared == "None")
    before = net.weight.clone()
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.equal(net.weight, before) != moves
