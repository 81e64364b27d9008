"""The lines that made an optimizer step while nobody watched, and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from torch.optim.optimizer import (
    Optimizer,
)

from companion.command.scout.own import is_own
from companion.records.line import LineRecord
from companion.tracing.code.source import Source

if TYPE_CHECKING:
    pass


class Unwatched:
    """The lines of the user's that made an optimizer step while nobody watched, and why."""

    def __init__(self, place: str | None) -> None:
        self._place = place
        self._seen: set[tuple[str, int]] = set()
        self._lines: dict[tuple[str, int], str] = {}
        self.other: list[str] = []

    def note(self, optimizer: Optimizer, why: str, frame: FrameType | None) -> None:
        """An optimizer is about to step; `frame` is the innermost one that runs."""
        while frame is not None and not is_own(frame.f_code, self._place):
            frame = frame.f_back
        if frame is None or (frame.f_code.co_filename, frame.f_lineno) in self._seen:
            return
        self._seen.add((frame.f_code.co_filename, frame.f_lineno))
        source = Source(frame)
        line = source.at(frame.f_lineno).first
        place = f"line {line} of {os.path.basename(source.name)}"
        self._lines[source.name, line] = f"{type(optimizer).__name__}.step(), {place}: {why}"

    def except_for(self, records: Sequence[LineRecord]) -> list[str]:
        """A sentence for each line that no record shows."""
        shown = {(record.file, record.line) for record in records}
        return [*self.other, *(words for line, words in self._lines.items() if line not in shown)]

    def note_library(self, frame: FrameType | None) -> None:
        """The loop runs in a library; `frame` is the innermost one that runs."""
        called = frame
        while frame is not None and not is_own(frame.f_code, self._place):
            called, frame = frame, frame.f_back
        if frame is not None and called is not None:
            self.other.append(f"the lines of the loop itself: {called.f_code.co_filename}")
