"""Many tensors at a glance: whether all stand as they stood, told in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from torch import Tensor


class Glance:
    """Who some tensors were, which version, and where in memory.

    This is where a line without effect spends its time, so each question is put to all of them
    before the next one.

    Args:
        tensors: All of a kind, in their order; None where there is none.
        memories: A weak reference to the storage of each that is there.
    """

    __slots__ = ("_ids", "_memories", "_pointers", "_versions")

    def __init__(
        self, tensors: Sequence[Tensor | None], memories: Sequence[Callable[[], object]]
    ) -> None:
        there = [tensor for tensor in tensors if tensor is not None]
        self._ids = list(map(id, tensors))
        self._versions = list(map(_version, there))
        self._pointers = list(map(_pointer, there))
        self._memories = memories

    def holds(self, tensors: Sequence[Tensor | None]) -> bool:
        """Whether these are the same objects at the same addresses, and no write was counted."""
        if list(map(id, tensors)) != self._ids:
            return False
        there = [tensor for tensor in tensors if tensor is not None]
        return (
            list(map(_version, there)) == self._versions
            and list(map(_pointer, there)) == self._pointers
            and None not in [memory() for memory in self._memories]  # else an id may be another's
        )


# `map` with these is quicker than a loop that asks each.
_version, _pointer = attrgetter("_version"), Tensor.data_ptr
