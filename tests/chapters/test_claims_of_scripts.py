"""What *A whole script* says of torch without a cell that shows it, as in test_claims.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.chapters.claims import Claims, Run

CLAIMS = Claims()
said = CLAIMS.said


@said(
    "08",
    "It would also pull the biases to 0, and the weights of BatchNorm, which begin at 1.",
)
def what_decays_where_nobody_chooses() -> None:
    net = nn.Sequential(nn.Linear(2, 2), norm := nn.BatchNorm1d(2))
    assert torch.equal(norm.weight, torch.ones(2))
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    before = [p.detach().clone() for p in net.parameters()]
    torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.1).step()
    for p, was in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), 0.99 * was)


@said(
    "08",
    "for ten classes, the loss cannot come below 1.461. In the last case no parameter moves.",
)
def two_softmaxes_and_the_wrong_optimizer() -> None:
    sure = torch.eye(10)[:1]
    assert nn.functional.cross_entropy(sure, torch.tensor([0])).item() == pytest.approx(
        1.461, abs=5e-4
    )
    ours, theirs = nn.Linear(2, 2), nn.Linear(2, 2)
    before = ours.weight.detach().clone()
    optimizer = torch.optim.AdamW(theirs.parameters())
    ours(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.equal(ours.weight, before)


@said("08", "Every `DataLoader` draws a number when a pass through it begins, shuffled or not.")
def a_pass_through_a_loader_draws() -> None:
    data = TensorDataset(torch.ones(4))
    for shuffle in (False, True):
        loader = DataLoader(data, shuffle=shuffle)
        before = torch.get_rng_state()
        iter(loader)
        assert not torch.equal(torch.get_rng_state(), before)


@said(
    "08",
    "`load_state_dict` takes each average to where its parameter is.",
    "a checkpoint with two groups does not load into an optimizer with one.",
)
def where_a_loaded_state_lies() -> None:
    """The device `meta` has no numbers, and every machine has it."""
    here, there = nn.Linear(2, 1), nn.Linear(2, 1, device="meta", dtype=torch.float64)
    optimizer = torch.optim.Adam(here.parameters())
    here(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    other = torch.optim.Adam(there.parameters())
    other.load_state_dict(optimizer.state_dict())
    average = other.state[there.weight]["exp_avg"]
    assert (average.device.type, average.dtype) == ("meta", torch.float64)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    with pytest.raises(ValueError, match="different number of parameter groups"):
        other.load_state_dict(optimizer.state_dict())


@said(
    "08",
    "With the file came `initial_lr`, where the first scheduler began, and a new `LambdaLR` begins "
    "there again.",
    "A new group, by `optimizer.add_param_group`, begins with the learning rate of the first step, "
    "whatever the schedule says.",
)
def where_a_new_scheduler_and_a_new_group_begin() -> None:
    def falling(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)

    optimizer = torch.optim.SGD([p := nn.Parameter(torch.ones(1))], lr=0.4)
    scheduler = falling(optimizer)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.2
    again = torch.optim.SGD([p], lr=3.0)
    again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["lr"] == 0.2
    assert again.param_groups[0]["initial_lr"] == 0.4
    falling(again)
    assert again.param_groups[0]["lr"] == 0.4
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.4]


@CLAIMS.each()
def test_it_is_so(run: Run) -> None:
    CLAIMS.hold(run)
