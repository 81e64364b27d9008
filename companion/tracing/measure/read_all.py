"""Many tensors read at once, as fast as their memory comes: what a trace does after a line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from companion.records.reading import Reading
from companion.tracing.measure.read import read
from companion.tracing.measure.values import has_values, kernels_alone


def read_all(tensors: Sequence[Tensor], *, sure: bool = False) -> list[Reading | None]:
    """Read many tensors, as fast as their memory comes: what a trace does after a line.

    float32 and float64 are accumulated in their own precision, half precision in float32; where
    that could overflow, underflow or meet a NaN, and for every other kind of tensor, `read` does
    it. From a device other than the CPU all numbers come in one transfer.

    Args:
        tensors: What to read.
        sure: Whether it is known that all of them have values.

    Returns:
        One reading a tensor, as `read` gives them up to rounding.

    Example:
        >>> read_all([torch.tensor([3.0, -4.0]), torch.tensor([[0.5]], dtype=torch.float16)])
        [Reading(sum=-1.0, norm=5.0, nonfinite=0), Reading(sum=0.5, norm=0.5, nonfinite=0)]
    """
    with torch._C._DisableAutocast():  # it would compute a dot product in half precision
        with kernels_alone():
            results = [_start(one) if sure or has_values(one) else None for one in tensors]
            numbers = _fetch([number for pair in results if pair is not None for number in pair])
        fetched = iter(numbers)
        readings: list[Reading | None] = []
        for tensor, pair in zip(tensors, results, strict=True):
            if pair is not None:
                total, square = next(fetched), next(fetched)
                if _SMALLEST < square < _LARGEST:
                    readings.append(Reading(total, math.sqrt(square), 0))
                    continue
            readings.append(read(tensor))
    return readings


# Squares of float32 norms between these have lost nothing to underflow, and nothing overflowed.
_SMALLEST, _LARGEST = 1e-26, 1e36
_FAST = {
    torch.float32: None,
    torch.float64: None,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}


def _start(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """Sum and squared norm, not yet fetched; None for a tensor that is not of the plain kind."""
    if tensor.dtype not in _FAST or tensor.layout != torch.strided:
        return None
    if tensor.is_nested or tensor.is_mkldnn or not 0 < tensor.numel() < 2**31:
        return None
    values = tensor.reshape(-1)
    wider = _FAST[tensor.dtype]
    if wider is not None:
        values = values.to(wider)
    return values.sum(), torch.dot(values, values)


def _fetch(numbers: Sequence[Tensor]) -> list[float]:
    """Their values, with one transfer from each device."""
    if all(number.device.type == "cpu" for number in numbers):
        return [number.item() for number in numbers]
    values = [0.0] * len(numbers)
    for kind in {(number.device, number.dtype) for number in numbers}:
        places = [i for i, n in enumerate(numbers) if (n.device, n.dtype) == kind]
        for i, value in zip(
            places, torch.stack([numbers[i] for i in places]).tolist(), strict=True
        ):
            values[i] = value
    return values
