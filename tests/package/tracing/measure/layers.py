"""A layer to write to, and what a trace says of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from companion import Trace

SIZES = [pytest.param(3, id="small"), pytest.param(64, id="large")]  # 9 entries, and 4096
BOTH = ("weight", "bias")


def linear(size: int = 64) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(size, size)


def moved(routine: Trace) -> list[tuple[str, ...]]:
    return [r.changed_parameters for r in routine.records]


def graded(routine: Trace) -> list[tuple[str, ...]]:
    return [r.changed_gradients for r in routine.records]


def grad(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad
