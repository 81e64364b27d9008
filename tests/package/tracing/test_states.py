"""What a state holds beside sums: the scale, learning rates, modes, requires_grad."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from companion import LineRecord, trace
from tests.package.tracing.watching import BOTH, loss_of


def test_the_factor_of_a_grad_scaler(net: Any, sgd: torch.optim.SGD) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    with trace(net, sgd, scaler) as routine:
        scaler.scale(loss_of(net)).backward()
        scaler.step(sgd)
        scaler.update()
        net.weight.grad.fill_(float("inf"))
        scaler.scale(loss_of(net))
        scaler.step(sgd)
        scaler.update()
    by_source: dict[str, list[LineRecord]] = {}
    for record in routine.records:
        by_source.setdefault(record.source, []).append(record)
    assert routine.records[0].before.scale == 8.0
    grown, shrunk = by_source["scaler.update()"]
    assert (grown.before.scale, grown.after.scale) == (8.0, 16.0)
    assert (shrunk.before.scale, shrunk.after.scale) == (16.0, 8.0)
    stepped, skipped = by_source["scaler.step(sgd)"]
    assert stepped.changed_parameters == BOTH
    assert skipped.changed_parameters == ()


def test_no_factor_without_a_scaler_that_is_enabled(net: Any) -> None:
    with trace(net, torch.amp.GradScaler("cpu", enabled=False)) as routine:
        pass
    assert routine.records[0].after.scale is None


def test_learning_rates(net: Any) -> None:
    groups: Any = [{"params": [net.weight], "lr": 0.5}, {"params": [net.bias]}]
    adam = torch.optim.Adam(groups, lr=torch.tensor(0.25))
    scheduler = torch.optim.lr_scheduler.StepLR(adam, 1, gamma=0.5)
    with trace(net, adam) as routine:
        adam.step()
        scheduler.step()
        adam.param_groups[1]["lr"] = 3
    assert [dict(r.after.learning_rates) for r in routine.records] == [
        {"adam": (0.5, 0.25)},
        {"adam": (0.25, 0.125)},
        {"adam": (0.25, 3.0)},
    ]


def test_a_learning_rate_that_is_learned_itself(net: Any) -> None:
    """Warnings are errors here; float() of such a tensor would warn."""
    rate = torch.tensor(0.5, requires_grad=True)
    sgd = torch.optim.SGD(net.parameters(), lr=rate, differentiable=True)
    with trace(net, sgd) as routine:
        pass
    assert routine.records[0].after.learning_rates == {"sgd": (0.5,)}


def test_modes_and_requires_grad(net: Any) -> None:
    net = nn.Sequential(net, nn.Dropout())
    with trace(net) as routine:
        net.eval()
        net[1].train()
        net[0].weight.requires_grad_(False)
        len(BOTH)
    assert [dict(r.after.training) for r in routine.records[:2]] == [
        {"": False, "0": False, "1": False},
        {"": False, "0": False, "1": True},
    ]
    assert routine.records[2].before.requires_grad == {"0.weight": True, "0.bias": True}
    assert routine.records[2].after.requires_grad == {"0.weight": False, "0.bias": True}
    assert routine.records[3].before is routine.records[3].after  # nothing new is made
    assert routine.records[3].after.training is routine.records[1].after.training
