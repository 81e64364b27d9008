"""What *A whole script* says of torch without a cell that shows it, as in test_claims.py."""

from __future__ import annotations

import re
import runpy
from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests import ROOT
from tests.chapters.claims import Claims, Run

CLAIMS = Claims()
said = CLAIMS.said


@said(
    "08",
    "`torch.use_deterministic_algorithms(True)` takes those that are deterministic, and raises an "
    "error where there is none.",
)
def what_is_deterministic() -> None:
    """By its docstring, and by a write to the same place twice, which has no order on a CPU too."""
    text = re.sub(r"\s+", " ", torch.use_deterministic_algorithms.__doc__ or "")
    assert "operations will use deterministic algorithms when available, and if only " in text
    assert "they will throw a :class:`RuntimeError`" in text
    twice = torch.tensor([0, 0]), torch.tensor([1.0, 2.0])
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match="put_ does not have a deterministic"):
            torch.zeros(1).put_(*twice)
        assert torch.zeros(1).put_(*twice, accumulate=True).item() == 3
    finally:
        torch.use_deterministic_algorithms(False)


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
    "for ten classes, the loss cannot come below 1.461. In the last case no parameter moves; only "
    "BatchNorm's buffers do.",
)
def two_softmaxes_and_the_wrong_optimizer() -> None:
    sure = torch.eye(10)[:1]
    assert nn.functional.cross_entropy(sure, torch.tensor([0])).item() == pytest.approx(
        1.461, abs=5e-4
    )
    ours = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: t.clone() for name, t in ours.state_dict().items()}
    optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters())
    ours(torch.rand(4, 2)).square().sum().backward()
    optimizer.step()
    moved = {name for name, t in ours.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {name for name, _ in ours.named_buffers()}


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
    "whatever the schedule says. Some schedulers, such as `LambdaLR`, raise an error at their next "
    "step (in older releases they leave it there).",
    "A scheduler that computes from its first rate, as `LambdaLR` does, writes over it at its next "
    "step: change its `base_lrs`, too.",
    "So build the scheduler first, as `start` does, and load both states after it.",
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
    late = falling(again)
    late.load_state_dict(scheduler.state_dict())
    assert again.param_groups[0]["lr"] == 0.4
    early = falling(again := torch.optim.SGD([p], lr=3.0))
    again.load_state_dict(optimizer.state_dict())
    early.load_state_dict(scheduler.state_dict())
    for base, found in [(0.4, 0.1), (0.008, 0.001)]:
        assert again.param_groups[0]["lr"] == {0.4: 0.2, 0.008: 0.1}[base]
        again.param_groups[0]["lr"] = 3.0
        early.base_lrs = [base]
        again.step()
        early.step()
        assert again.param_groups[0]["lr"] == pytest.approx(found)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.4]
    optimizer.step()
    with suppress(ValueError):
        scheduler.step()
        assert optimizer.param_groups[1]["lr"] == 0.4  # an older release


@said("08", "a loaded scheduler keeps its old length, and the learning rate would rise again.")
def a_cosine_that_is_loaded_keeps_its_length() -> None:
    def cosine(length: int) -> tuple[torch.optim.SGD, torch.optim.lr_scheduler.LRScheduler]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.4)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=length)

    optimizer, scheduler = cosine(10)
    longer = cosine(30)
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    longer[0].load_state_dict(optimizer.state_dict())
    longer[1].load_state_dict(scheduler.state_dict())
    rates = []
    for _ in range(10):
        longer[0].step()
        longer[1].step()
        rates.append(longer[0].param_groups[0]["lr"])
    assert longer[1].state_dict()["T_max"] == 10
    assert 0 < rates[0] < 0.02
    assert rates == sorted(rates)


@said(
    "08",
    "In three of them `start` has begun the random numbers anew, so dropout drops what it dropped "
    "in step 1: 0.109. With the restored random numbers it drops others: 0.253.",
)
def what_dropout_drops_after_a_start() -> None:
    script = runpy.run_path(str(ROOT / "book/train_digits.py"))
    train_set, _ = script["data"]()
    dropped = []
    for _ in range(2):
        parts = script["start"]()
        parts["net"][3].register_forward_hook(lambda _, args, out: dropped.append((args[0], out)))
        script["train"](loader=script["batches"](train_set, 0, 0, 2), **parts)
    masks = [(given > 0) & (out == 0) for given, out in dropped]
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])


@CLAIMS.each()
def test_it_is_so(run: Run) -> None:
    CLAIMS.hold(run)
