"""Several calls on one line: each has a record, and the diagnosis sees them in their order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from companion import Trace, trace

Step = Callable[[nn.Module, torch.optim.Optimizer, Tensor], None]


def watched(step: Step, steps: int = 3) -> Trace:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer, into=[step]) as routine:
        for _ in range(steps):
            step(net, optimizer, torch.randn(8, 4))
    return routine


def on_one_line(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    loss = net(x).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()  # fmt: skip # noqa: E702


def without_clearing(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    loss = net(x).square().mean()
    loss.backward(); optimizer.step()  # fmt: skip # noqa: E702


def stepping_first(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    loss = net(x).square().mean()
    optimizer.zero_grad(); optimizer.step(); loss.backward()  # fmt: skip # noqa: E702


def clipping_last(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    optimizer.zero_grad()
    loss = net(x).square().mean()
    loss.backward(); optimizer.step(); nn.utils.clip_grad_norm_(net.parameters(), 0.01)  # fmt: skip # noqa: E702


def in_a_tuple(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    loss = net(x).square().mean()
    _ = loss.backward(), optimizer.step()


def test_each_call_has_its_own_record() -> None:
    records = [one for one in watched(on_one_line).records if ";" in one.source]
    assert [[event.kind for event in one.events if event.kind in KINDS] for one in records] == [
        ["clear"], ["backward"], ["step"],
    ] * 3  # fmt: skip
    assert [bool(one.changed_gradients) for one in records] == [False, True, False] + [
        True, True, False,
    ] * 2  # fmt: skip
    assert [bool(one.changed_parameters) for one in records] == [False, False, True] * 3
    assert [one.again for one in records] == [False, True, True] * 3


KINDS = {"clear", "backward", "step"}


def test_a_table_has_the_line_once_with_all_that_it_did() -> None:
    routine = watched(on_one_line, steps=40)
    (row,) = [line for line in str(routine).splitlines() if "optimizer.zero_grad();" in line]
    assert row.split()[0] == "40x"
    assert "4 changed" in row
    assert "changed" in row.replace("4 changed", "", 1)  # gradients and parameters
    assert routine.diagnose() == []


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        (without_clearing, "accumulates"),
        (in_a_tuple, "accumulates"),
        (clipping_last, "clip-after-step"),
        (stepping_first, "discarded"),
    ],
)
def test_the_order_on_a_line_is_judged(step: Step, rule: str) -> None:
    assert rule in [finding.rule for finding in watched(step).diagnose()]


def test_what_a_function_does_that_is_not_followed_is_one_thing() -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def helper() -> None:
        optimizer.zero_grad()
        net(torch.ones(2, 4)).sum().backward()
        optimizer.step()

    with trace(net, optimizer) as routine:
        helper()
    (record,) = routine.records
    assert record.changed_gradients
    assert record.changed_parameters


def test_a_closure_and_a_hook_belong_to_the_call_that_runs_them() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 1)
    x = torch.randn(8, 4)
    lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=4)

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss: Tensor = net(x).square().mean()
        loss.backward()
        return loss

    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, lbfgs, sgd) as routine:
        lbfgs.step(closure)
        handle = net.bias.register_post_accumulate_grad_hook(lambda _: sgd.step())
        net(x).sum().backward()
        handle.remove()
    assert [record.again for record in routine.records] == [False] * 4
