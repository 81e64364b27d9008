"""One tensor as it was last seen: who it was, its version, its reading, perhaps a copy."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion.records.reading import Reading
from companion.tracing.measure.pack import SMALL, Pack
from companion.tracing.measure.values import entries

MOST_BYTES = 2**29  # of copies that are kept at the same time: the script needs its memory itself


class Room:
    """How much memory copies may still take.

    Attributes:
        left: In bytes.
    """

    def __init__(self) -> None:
        self.left = MOST_BYTES


class Seen:
    """One tensor as it was last seen.

    Attributes:
        careful: Its memory may be written past its version counter: it is compared after every
            line.
        blind: It was not looked at after a line where it could have been written so.
    """

    __slots__ = (
        "blind", "careful", "copy", "counts", "identity", "kind", "memory", "pack", "place",
        "pointer", "reading", "room", "version",
    )  # fmt: skip

    def __init__(self, tensor: Tensor, room: Room) -> None:
        self.kind = kind_of(tensor)
        self.room = room
        self.copy: tuple[Tensor, ...] | None = None  # of a large tensor
        self.pack: Pack | None = None  # or where the copy of a small one is
        self.begin(tensor)

    def begin(self, tensor: Tensor) -> None:
        """See a tensor for the first time."""
        self.reading: Reading | None = None
        self.place, self.pointer = 0, -2
        self.careful = self.blind = False
        self.memory: Callable[[], object] = _nothing
        self.renew(tensor)

    def renew(self, tensor: Tensor) -> None:
        """Note which object this is, its version and its address."""
        self.identity, before = id(tensor), self.pointer
        self.blind = False
        self.counts = tensor.layout == torch.strided and not tensor.is_inference()
        if not self.counts:
            self.memory, self.version, self.pointer = _nothing, -1, -1
            self.careful |= before != -1
            return
        self.version, self.pointer = tensor._version, tensor.data_ptr()
        if self.pointer != before or self.memory() is None:
            storage = tensor.untyped_storage()
            # Of the memory, not of the tensor: swap_tensors refuses one with weak references.
            self.memory = weakref.ref(storage)
            self.careful |= self.pointer != before and storage.nbytes() != tensor.nbytes

    @property
    def has_copy(self) -> bool:
        """Whether there is a copy to compare with."""
        return self.copy is not None or self.pack is not None

    def keep(self, tensor: Tensor) -> None:
        """Keep a copy, if there is none and there is room: without one the readings decide."""
        if self.has_copy:
            return
        parts = entries(tensor)
        size = sum(part.nbytes for part in parts)
        if size <= self.room.left:
            self.copy = tuple(part.clone() for part in parts)
            self.room.left -= size

    def keeps(self, tensor: Tensor) -> None:
        """A new reading: keep a copy of the values where one is needed, drop the old one."""
        self.forget()
        if self.careful or self._is_told_by_its_copy():
            self.keep(tensor)

    def drop(self) -> None:
        """Keep no copy of a large tensor."""
        if not self._is_told_by_its_copy():
            self.forget(pack=False)

    def forget(self, *, pack: bool = True) -> None:
        """Keep no copy."""
        if self.copy is not None:
            self.room.left += sum(part.nbytes for part in self.copy)
            self.copy = None
        if pack:
            self.pack = None

    def _is_told_by_its_copy(self) -> bool:
        """Whether the reading alone would not do."""
        return hides(self.reading) or bool(self.kind[2].numel() <= SMALL)

    def is_untouched(self, tensor: Tensor) -> bool:
        """The same object at the same address with the same version: no counted write."""
        return (
            self.identity == id(tensor)
            and self.memory() is not None
            and tensor._version == self.version
            and tensor.data_ptr() == self.pointer
        )

    def may_read(self, reading: Reading | None) -> bool:
        """Whether these may be the values that were read: else the reading would be another."""
        last = self.reading
        if last is None or reading is None:
            return last is reading or hides(reading)
        if last.norm != reading.norm:  # as nearly always; the quickest question comes first
            return hides(reading)
        return last == reading or hides(reading)

    def is_of_kind(self, tensor: Tensor) -> bool:
        """Whether its values can be compared with those of before."""
        return kind_of(tensor) == self.kind

    def has_values_of(self, tensor: Tensor) -> bool:
        """Compare with the copy; without one, it cannot be said."""
        if not self.is_of_kind(tensor):
            return False
        if self.pack is not None:
            return _same_values(tensor.detach().reshape(-1), self.pack.entries(self.place))
        return self.copy is not None and all(map(_same_values, entries(tensor), self.copy))


def kind_of(tensor: Tensor) -> tuple[Any, ...]:
    """What two tensors must share for their values to be compared."""
    return tensor.layout, tensor.dtype, tensor.shape, tensor.device


def hides(reading: Reading | None) -> bool:
    """With a NaN, or with squares too large for a float, sum and norm say nothing of the rest."""
    return reading is not None and not math.isfinite(reading.norm)


def _nothing() -> None:
    """A weak reference to nothing."""


def _same_values(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        return False
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    if a.is_floating_point() and a.itemsize == 1:
        a, b = a.view(torch.uint8), b.view(torch.uint8)  # torch.equal does not know float8
    if torch.equal(a, b):
        return True
    # NaN is not equal to itself, yet a NaN that stays is no change.
    return bool(((a == b) | (a.isnan() & b.isnan())).all())
