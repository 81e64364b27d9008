"""One followed frame, and the statement that is under way in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Any

from companion.records.line import State, sets
from companion.records.phase import Phase
from companion.tracing.code.handlers import handlers
from companion.tracing.code.source import Source, Statement
from companion.tracing.code.uncounted import reaches_past


class Place:
    """One followed frame, and the statement that is under way in it.

    Attributes:
        previous: The frame's trace function before ours, if there is any.
        recorded: Whether the statement under way has its record, or needs none.
        shown: Whether it has a record.
        raised: Whether an exception has come through the statement under way.
        leaving: Whether one may be about to leave the frame.
        entered: Whether it is a header, and what it heads goes on: a loop has a next round.
        phase: Which part of it is under way, where a library runs a loop in it.
        part: What began that: "forward", "backward", ...
        called: Whether it has called backward, a step or the like itself.
        forward: Whether a forward of that library's is one of its parts, and no backward came yet.
    """

    def __init__(
        self, frame: FrameType, depth: int, source: Source, header: Statement | None
    ) -> None:
        self.frame = frame
        self.previous: Any = None
        self.depth = depth
        self.source = source
        self.uncounted = reaches_past(frame.f_code)
        self.handlers = handlers(frame.f_code)
        name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
        self.function = "" if name.startswith("<") else name
        self.header = header  # the `with trace(...)` or `def ...` that is entered
        self.begin(frame, source.at(frame.f_lineno))
        self.recorded = True  # the line under way on entering has begun before

    def note_called(self, frame: FrameType) -> None:
        """A function is called, or a generator goes on: then it is at a `yield`, at no `def`."""
        if self.header is not None and not self.header.spans(frame.f_code.co_firstlineno):
            self.header = None

    def begin(self, frame: FrameType, statement: Statement) -> None:
        """A statement begins."""
        self.current = statement
        self.start = frame.f_lasti
        self.recorded = self.current is self.header
        self.raised = self.leaving = self.entered = self.called = False
        self.phase: Phase | None = None
        self.part, self.forward = "", False
        # A `with` comes round once more where its block ends: that is the same run.
        self.shown = self.current.is_with and self.start > self._first(frame)

    def _first(self, frame: FrameType) -> int:
        """Where the statement under way begins in its code."""
        starts = [
            start
            for start, _, line in frame.f_code.co_lines()
            if line is not None and self.current.first <= line <= self.current.last
        ]
        return min(starts, default=self.start)

    def go_on(self, frame: FrameType, statement: Statement) -> None:
        """The statement under way is over, and another one is next."""
        self.raised = frame.f_lasti in self.handlers
        self.entered = self.current.goes_on_in(statement)

    def sets(self, before: State, after: State) -> bool:
        """Whether a part of it has set a learning rate or a mode: a line is shown in any case."""
        return self.phase is not None and sets(before, after)

    def where(self) -> str:
        """Where it stands, as the beginning of a sentence."""
        return f"line {self.current.first} of {os.path.basename(self.source.name)}: "

    @property
    def line(self) -> tuple[str, int]:
        """The file, and the first line of the statement under way."""
        return self.source.name, self.current.first

    def reaches_past(self) -> bool:
        """Whether the statement under way may write past the version counters."""
        if not self.uncounted:
            return False
        lines = range(self.current.first, self.current.last + 1)
        return any(line in self.uncounted for line in lines)


def under_way(
    frame: FrameType | None,
    base: FrameType | None,
    code: CodeType | None,
    follows: Callable[[CodeType], bool],
) -> list[FrameType]:
    """The frames to be followed of those that run, outermost first; none without the base.

    Args:
        frame: The innermost one.
        base: The outermost frame that is followed; or it is one of this `code`.
        follows: Whether the lines of a function are watched, besides those of the base.
    """
    stack: list[FrameType] = []
    found = -1
    while frame is not None:
        stack.append(frame)
        if frame is base or frame.f_code is code:
            found = len(stack) - 1  # of a function that calls itself, the outermost call
        frame = frame.f_back
    if found < 0:
        return []
    inside = [frame for frame in stack[:found] if follows(frame.f_code)]
    return [*inside, stack[found]][::-1]


def line_of(
    error: BaseException | None, places: Sequence[Place], follows: Callable[[CodeType], bool]
) -> tuple[str, int] | None:
    """File and line of the innermost followed statement that an exception came through."""
    frames = {place.frame: place for place in places}
    traceback = None if error is None else error.__traceback__
    line: tuple[str, int] | None = None
    while traceback is not None:
        place = frames.get(traceback.tb_frame)
        if place is not None:
            line = place.source.name, place.source.at(traceback.tb_lineno).first
        elif follows(traceback.tb_frame.f_code):
            source = Source(traceback.tb_frame)
            line = source.name, source.at(traceback.tb_lineno).first
        traceback = traceback.tb_next
    return line
