"""A cheap mark of what a tensor holds: another one when it was written."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from companion.tracing.measure.values import has_values

FEW = 64  # entries that are looked at


def mark(tensor: Tensor) -> tuple[Any, ...]:
    """What is another once a tensor was written: its counter, its address, or its first entries.

    Example:
        >>> p = torch.zeros(3, 100)
        >>> before = mark(p)
        >>> p.data[0, 5] = 1.0
        >>> mark(p) == before
        False
    """
    if tensor.is_inference() or not has_values(tensor) or tensor.layout != torch.strided:
        return ()
    if tensor.is_nested or tensor.is_quantized or not tensor.numel():
        return (tensor._version,)
    row = tensor.detach()
    while row.dim() > 1:
        row = row[0]
    few = row[:FEW] if row.dim() else row
    return tensor._version, tensor.data_ptr(), str(few.tolist())
