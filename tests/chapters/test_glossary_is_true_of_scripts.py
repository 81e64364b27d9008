"""What the glossary says of whole scripts is so: a run for each of these entries."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from tests.chapters.glossary import loss_of, of, problem, values


@of("random generator")
def test_a_generator_draws_for_itself() -> None:
    torch.manual_seed(3)
    usual, where = torch.rand(2), torch.get_rng_state()
    own = torch.Generator().manual_seed(3)
    order = torch.randperm(9, generator=own)
    assert torch.equal(torch.get_rng_state(), where)
    assert torch.equal(order, torch.randperm(9, generator=torch.Generator().manual_seed(3)))
    torch.manual_seed(3)
    assert torch.equal(torch.rand(2), usual)
    own.manual_seed(3)
    assert torch.equal(torch.rand(2, generator=own), usual)
    drawn = torch.rand(2)
    torch.set_rng_state(where)
    assert torch.equal(torch.rand(2), drawn)


@of("range test")
def test_a_growing_learning_rate_shows_where_learning_begins_and_ends() -> None:
    net, inputs, labels = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    growing = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=10 ** (6 / 89))
    rates, losses = [], []
    for _ in range(90):
        optimizer.zero_grad()
        loss = loss_of(net, inputs, labels)
        loss.backward()
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        growing.step()
        losses.append(loss.item())
    factors = [later / rate for rate, later in pairwise(rates)]
    assert max(factors) - min(factors) < 1e-9
    assert abs(losses[20] - losses[0]) < 0.02  # too small to learn
    lowest = losses.index(min(losses))
    assert losses[lowest] < 0.5 * losses[0]
    assert max(losses[lowest:]) > losses[0]  # too large


@of("device")
def test_what_an_optimizer_keeps_is_made_and_left_behind() -> None:
    """A move to another dtype and one to another device go the same way, `Module._apply`."""
    kept: dict[str, Any] = {}
    for kind in (torch.optim.Adam, torch.optim.Adagrad):
        net = nn.Linear(2, 1)
        optimizer = kind(net.parameters())
        kept[kind.__name__] = dict(optimizer.state[net.weight])
    assert kept["Adam"] == {}
    assert kept["Adagrad"]["sum"].shape == (1, 2)

    net, inputs, labels = problem()
    optimizer = torch.optim.Adam(net.parameters())
    loss_of(net, inputs, labels).backward()
    optimizer.step()
    state = optimizer.state[net[0].weight]
    before = values(net)
    net.to(torch.float64)
    assert [p.dtype for p in values(net)] == [torch.float64] * len(before)
    assert net[0].weight is optimizer.param_groups[0]["params"][0]
    assert state["exp_avg"].dtype == torch.float32
