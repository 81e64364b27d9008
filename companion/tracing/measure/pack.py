"""Many small tensors as one: copied and read with a handful of operations.

A network has dozens of biases and scales. Taken one by one they cost more than its large weights,
in calls alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors

from companion.records.reading import Reading
from companion.tracing.measure.read import read
from companion.tracing.measure.values import kernels_alone

SMALL = 1024  # entries
_SMALLEST = 1e-290


def packs(tensor: Tensor) -> bool:
    """Whether a tensor can be packed: small, dense, of numbers that a float64 holds or a count."""
    return (
        0 < tensor.numel() <= SMALL
        and tensor.dtype in _PACKED
        and tensor.layout == torch.strided
        and not tensor.is_nested
    )


_PACKED = {torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64}


class Pack:
    """A copy of some small tensors of one dtype on one device, end to end.

    Attributes:
        lengths: How many entries each has.
    """

    def __init__(self, tensors: Sequence[Tensor], like: Pack | None = None) -> None:
        with kernels_alone():
            flat: Tensor = _flatten_dense_tensors(tensors)
        self._flat = flat.clone() if len(tensors) == 1 else flat  # of one it is a view
        # Numbers, no shapes: what Python's garbage collector need not look at.
        self.lengths = list(map(Tensor.numel, tensors))
        self._starts: list[int]
        self._lengths: Tensor
        if like is not None and like.is_like(self):
            self.lengths, self._starts, self._lengths = like.lengths, like._starts, like._lengths
        else:
            self._starts = [0, *accumulate(self.lengths)]
            self._lengths = torch.tensor(self.lengths, device=flat.device)

    def is_like(self, other: Pack) -> bool:
        """Whether both hold tensors of the same lengths, dtype and device."""
        a, b = self._flat, other._flat
        return self.lengths == other.lengths and a.dtype == b.dtype and a.device == b.device

    def equals(self, other: Pack) -> bool:
        """Whether both hold the same numbers: False also where one of them is NaN."""
        return self.is_like(other) and torch.equal(self._flat, other._flat)

    def entries(self, i: int) -> Tensor:
        """The entries of the i-th tensor, as one dimension."""
        return self._flat[self._starts[i] : self._starts[i + 1]]

    def readings(self, tensors: Sequence[Tensor]) -> list[Reading | None]:
        """A reading for each; accumulated in float64, or float32 where a device has no other."""
        flat = self._flat
        with kernels_alone():
            values = flat.to(torch.float32 if flat.device.type == "mps" else torch.float64)
            totals = self._sums(values)
            squares = self._sums(values * values if values is flat else values.mul_(values))
        # The square of a float64 may be too small for one.
        least = _SMALLEST if flat.dtype == torch.float64 else -1.0
        return [
            Reading(total, math.sqrt(square), 0) if least < square < math.inf else read(tensor)
            for tensor, total, square in zip(tensors, totals, squares, strict=True)
        ]

    def _sums(self, values: Tensor) -> list[float]:
        """The sum of each tensor's entries, added up one after the other."""
        sums = torch.segment_reduce(values, "sum", lengths=self._lengths, unsafe=True)
        return sums.tolist()
