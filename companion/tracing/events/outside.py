"""Tensors that a line reads and no watched line bound: what there was before the watching began."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType

from torch import Tensor

from companion.isolation.objects import is_a
from companion.isolation.wall import is_calm
from companion.records.flow import reads
from companion.records.line import Event
from companion.tracing.code.frames import value_of
from companion.tracing.events.values import numbers_in
from companion.tracing.measure.values import is_lazy, is_plain

MOST = 2**24  # entries of a tensor that is looked at: one may be the whole data set
MOST_READ = 2  # runs of a line; what it reads later was bound by lines that were watched


class Outside:
    """Finds those that are not finite. Each name is told once, and no tensor is kept."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, int], int] = {}
        self._told: set[str] = set()

    def read_by(self, line: tuple[str, int], text: str, frame: FrameType) -> Iterator[Event]:
        """The variables with NaN or infinity in them that a statement is about to read."""
        runs = self._runs[line] = self._runs.get(line, 0) + 1
        if runs > MOST_READ or not is_calm():
            return
        for name in reads(text):
            value = value_of(name, frame)
            if not is_a(value, Tensor) or not is_plain(value) or is_lazy(value) or value.is_nested:
                continue
            if value.numel() > MOST or name in self._told:
                continue
            count = numbers_in(value)[1]
            if count:
                self._told.add(name)
                details = {"nonfinite": count, "shape": tuple(value.shape)}
                yield Event("not finite", name, details)
