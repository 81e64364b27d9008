"""The same parameters twice, one copy moved by torch's optimizer and the other by ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import companion

NAMES = ["SGD", "Adam", "AdamW"]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64]
SHAPES = [(), (7,), (13, 11), (0, 3), (1009,)]
PATHS: dict[str, dict[str, Any]] = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "differentiable": {"differentiable": True},
    "torch's choice": {},
}

SGD_OPTIONS: list[dict[str, Any]] = [
    {},
    {"lr": 0},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
]
ADAM_OPTIONS: list[dict[str, Any]] = [
    {},
    {"lr": 0},
    {"betas": (0.5, 0.6)},
    {"betas": (0.0, 0.0), "eps": 0.1},
    {"weight_decay": 0.1},
    {"amsgrad": True},
    {"amsgrad": True, "weight_decay": 0.1},
]
OPTIONS = {"SGD": SGD_OPTIONS, "Adam": ADAM_OPTIONS, "AdamW": ADAM_OPTIONS}
CASES = [(name, options) for name in NAMES for options in OPTIONS[name]]


class Twins:
    """`theirs` and `ours` hold the same numbers; `torchs` and `companions` are to move them alike.

    They are leaves, but for differentiable steps: then they are copies that autograd follows.
    """

    def __init__(self, name: str, params: list[Tensor], **options: Any) -> None:
        self.theirs, self.ours = (
            [p.detach().clone().requires_grad_() for p in params] for _ in range(2)
        )
        if options.get("differentiable"):
            self.theirs, self.ours = ([p.clone() for p in ps] for ps in (self.theirs, self.ours))
        options = {"lr": 0.1, **options}
        self.torchs: Any = getattr(torch.optim, name)(self.theirs, **copy.deepcopy(options))
        self.companions: Any = getattr(companion, name)(self.ours, **copy.deepcopy(options))

    def give(self, grads: list[Tensor | None]) -> None:
        for x, y, grad in zip(self.theirs, self.ours, grads, strict=True):
            x.grad = None if grad is None else grad.clone()
            y.grad = None if grad is None else grad.clone()

    def step(self, grads: list[Tensor | None]) -> None:
        """One step of both, and all is equal after it, also that no gradient of ours changed."""
        self.give(grads)
        self.torchs.step()
        self.companions.step()
        for y, grad in zip(self.ours, grads, strict=True):
            assert (y.grad is None) == (grad is None)
            assert grad is None or (y.grad is not None and same(y.grad, grad))
        self.assert_same()

    def assert_same(self) -> None:
        for x, y in zip(self.theirs, self.ours, strict=True):
            assert same(x, y)
            a, b = kept(self.torchs, x), kept(self.companions, y)
            assert list(a) == list(b)
            assert all(same(a[key], b[key]) for key in a)


def kept(optimizer: Any, p: Tensor) -> dict[str, Tensor]:
    """What is kept for one parameter; older torch noted an absent momentum buffer as None."""
    return {k: v for k, v in optimizer.state.get(p, {}).items() if v is not None}


def same(x: Tensor, y: Tensor) -> bool:
    """`torch.equal`, but that NaN equals NaN in the same place."""
    if x.is_sparse and y.is_sparse:
        x, y = x.coalesce(), y.coalesce()
        return torch.equal(x.indices(), y.indices()) and same(x.values(), y.values())
    nan = x.isnan()
    return x.dtype == y.dtype and (
        torch.equal(x, y)
        or (
            torch.equal(nan, y.isnan())
            and torch.equal(x.masked_fill(nan, 0), y.masked_fill(nan, 0))
        )
    )


def random(params: list[Tensor]) -> list[Tensor | None]:
    return [torch.randn_like(p).detach() for p in params]


each_optimizer = pytest.mark.parametrize("name", NAMES)
