"""One tensor in, one `Reading` out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.records.reading import Reading
from companion.tracing.measure.values import entries, has_values


def read(tensor: Tensor | None) -> Reading | None:
    """Read one tensor: dense, sparse or quantised, of any shape, dtype and device.

    Sum and norm are accumulated in float64 (complex128 for complex tensors), so that a
    half-precision tensor neither overflows nor loses its small entries. An MPS device has no
    float64; there the accumulator is float32.

    Args:
        tensor: The tensor, or None where there is none (a `.grad` before the first backward).

    Returns:
        The reading. None for None, and for a tensor without values (on the meta device, the
        parameter of a lazy module, one whose memory was freed): None, "all zero" and "no entries"
        are three things. None, too, where a tensor subclass has values in its own way
        (`__torch_dispatch__`), and for tensors inside a transform of `torch.func`.

    Raises:
        TypeError: If `tensor` is neither a tensor nor None.

    Example:
        >>> read(torch.tensor([3.0, -4.0]))
        Reading(sum=-1.0, norm=5.0, nonfinite=0)
        >>> read(torch.tensor([60000.0, 60000.0], dtype=torch.float16)).sum  # float16 ends at 65504
        120000.0
        >>> read(None) is None
        True
    """
    if tensor is None:
        return None
    if not isinstance(tensor, Tensor):
        raise TypeError(f"read() takes a tensor or None, not {tensor!r}")
    if not has_values(tensor):
        return None
    values = entries(tensor)[-1]
    dtype = _accumulator(values)
    if not _adds_up(values.dtype):
        values = values.to(dtype)
    total = values.sum(dtype=dtype).item()
    norm = torch.linalg.vector_norm(values, dtype=dtype).item()
    # A finite norm proves that every entry is finite, and saves a pass over them.
    nonfinite = 0 if math.isfinite(norm) else int((~values.isfinite()).sum().item())
    return Reading(total, norm, nonfinite)


def _adds_up(dtype: torch.dtype) -> bool:
    """Whether torch sums this dtype into a wider one by itself: not so for integers and float8."""
    return (dtype.is_floating_point or dtype.is_complex) and dtype.itemsize > 1


def _accumulator(values: Tensor) -> torch.dtype:
    if values.is_complex():
        return torch.complex128
    return torch.float32 if values.device.type == "mps" else torch.float64
