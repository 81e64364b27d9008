"""Small real trainings, and a guard that stands over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from companion import Net, digits
from companion.tracing.guard.guard import Guard
from companion.tracing.measure.watched import Watched

BATCH = 16


@cache
def images() -> tuple[Tensor, Tensor]:
    data = digits()
    return data.images[:512], data.targets[:512]


def batch(i: int) -> tuple[Tensor, Tensor]:
    where = slice(i * BATCH % 512, i * BATCH % 512 + BATCH)
    return images()[0][where], images()[1][where]


def pair(**options: Any) -> tuple[Net, torch.optim.SGD]:
    torch.manual_seed(0)
    net = Net()
    return net, torch.optim.SGD(net.parameters(), **{"lr": 0.05, "momentum": 0.9, **options})


@contextmanager
def guarded(*watched: Any, **named: Any) -> Iterator[Guard]:
    """A guard that looks from the first step on."""
    guard = Guard(Watched((*watched, named) if named else watched, {}))
    guard.install()
    guard.begin()
    try:
        yield guard
    finally:
        guard.end()


def as_it_is(loss: Tensor, i: int) -> Tensor:
    return loss


def train(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    scheduler: Any = None,
    change: Callable[[Tensor, int], Tensor] = as_it_is,
) -> None:
    """Steps 1 to `steps` on real digits; `change` may spoil a step's loss."""
    for i in range(1, steps + 1):
        inputs, labels = batch(i)
        optimizer.zero_grad()
        change(functional.cross_entropy(net(inputs), labels), i).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def scaled(net: nn.Module, optimizer: Any, scaler: Any, steps: range, spoilt: range) -> None:
    """The same with a GradScaler; the loss of the steps in `spoilt` is infinite."""
    for i in steps:
        inputs, labels = batch(i)
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(inputs), labels)
        scaler.scale(loss * math.inf if i in spoilt else loss).backward()
        scaler.step(optimizer)
        scaler.update()
