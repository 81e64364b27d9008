"""What the sound loops are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Batches = list[tuple[Tensor, Tensor]]


def classes(n: int = 6, size: int = 8) -> Batches:
    """`n` batches of 4 features and a label of 3."""
    inputs = [torch.randn(size, 4) for _ in range(n)]
    return [(x, x[:, :3].argmax(dim=1)) for x in inputs]


def regression(n: int = 6, size: int = 8) -> Batches:
    """`n` batches of 4 features and a target column."""
    inputs = [torch.randn(size, 4) for _ in range(n)]
    return [(x, x.sum(dim=1, keepdim=True) + 0.1) for x in inputs]


def mlp(n_out: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, n_out))
