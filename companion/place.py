"""One followed frame, and the statement that is under way in it."""

from __future__ import annotations

import os
from types import FrameType
from typing import Any

from companion.source import Source, Statement
from companion.writes import reaches_past


class Place:
    """One followed frame, and the statement that is under way in it.

    Attributes:
        previous: The frame's trace function before ours.
        recorded: Whether the statement under way has its record, or needs none.
    """

    def __init__(
        self, frame: FrameType, previous: Any, depth: int, source: Source, header: Statement | None
    ) -> None:
        self.frame = frame
        self.previous = previous
        self.depth = depth
        self.source = source
        self.uncounted = reaches_past(frame.f_code)
        name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
        self.function = "" if name.startswith("<") else name
        self.header = header  # the `with trace(...)` or `def ...` that is entered
        self.begin(frame)
        self.recorded = True  # the line under way on entering has begun before

    def begin(self, frame: FrameType) -> None:
        """A statement begins."""
        self.current = self.source.at(frame.f_lineno)
        self.start = frame.f_lasti
        self.recorded = self.current is self.header

    def where(self) -> str:
        """Where it stands, as the beginning of a sentence."""
        return f"line {self.current.first} of {os.path.basename(self.source.name)}: "

    def reaches_past(self) -> bool:
        """Whether the statement under way may write past the version counters."""
        lines = range(self.current.first, self.current.last + 1)
        return any(line in self.uncounted for line in lines)
