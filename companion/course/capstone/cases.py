"""PyTorch's own cases of SGD: the options and the schedulers that its tests run it with.

They stand in `torch.testing._internal.common_optimizers`, which wants packages that a reader may
not have, takes seconds to import and freezes the flags of `torch.backends`. So they are written
down here, and `tests/package/course/test_capstone.py` compares them with PyTorch's.

PyTorch runs each also with `foreach`, `fused` and `differentiable`: other ways to the same rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)


class Case(NamedTuple):
    """Options of SGD, and what PyTorch calls them."""

    name: str
    options: dict[str, Any]


CASES = (
    Case("default", {}),
    Case("non-default lr", {"lr": 1e-2}),
    Case("tensor lr", {"lr": torch.tensor(0.001)}),
    Case("non-zero weight_decay", {"weight_decay": 0.5}),
    Case("momentum", {"momentum": 0.9}),
    Case("maximize", {"weight_decay": 0.1, "maximize": True}),
    Case("dampening", {"momentum": 0.9, "dampening": 0.5}),
    Case("weight_decay w/ momentum", {"momentum": 0.9, "weight_decay": 0.1}),
    Case("nesterov", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
)

# Ours: with PyTorch's 0.5, a dampening is as large as what it leaves; without a decay, a gradient
# is the parameter's own `.grad`; and nothing above has an own learning rate and all the others.
OWN = (
    Case("dampening of 0.3", {"momentum": 0.7, "dampening": 0.3}),
    Case("nesterov alone", {"momentum": 0.9, "nesterov": True}),
    Case("uphill with momentum", {"lr": 0.003, "momentum": 0.9, "maximize": True}),
)

SCHEDULERS: tuple[tuple[Callable[[Optimizer], Any], ...], ...] = (
    (lambda o: StepLR(o, gamma=0.9, step_size=10),),
    (lambda o: LinearLR(o, start_factor=0.4, end_factor=0.8, total_iters=4),),
    (
        lambda o: StepLR(o, gamma=0.9, step_size=10),
        lambda o: LinearLR(o, start_factor=0.4, end_factor=0.6, total_iters=4),
    ),
    (
        lambda o: StepLR(o, gamma=0.99, step_size=10),
        lambda o: ExponentialLR(o, gamma=0.99),
        lambda o: ReduceLROnPlateau(o),
    ),
    (lambda o: ConstantLR(o, factor=0.4, total_iters=4),),
    (lambda o: PolynomialLR(o, power=0.9, total_iters=4),),
    (
        lambda o: StepLR(o, gamma=0.9, step_size=10),
        lambda o: ReduceLROnPlateau(o),
    ),
)
