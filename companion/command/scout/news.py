"""Lines that the watched steps have not run: what comes between two steps, as at an epoch's end.

The first steps of a script show no validation: it comes when an epoch is over. So when they are
over, each line that runs between a step and the next round of its loop is looked up; one that has
not run before is told of, and the watching goes on from there.

From Python 3.12 on a line that is known is told of no more, and costs nothing. On older ones lines
are told of between an optimizer's step and the first line of the next round alone.
"""

from __future__ import annotations

import ast
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from types import CodeType, FrameType
from typing import Any

from companion.isolation.wall import keep_out_dynamo
from companion.records.line import LineRecord
from companion.records.parse import nodes_of
from companion.tracing.code.source import Source

GRACE, SHARE = 0.05, 0.003  # seconds, and of each second of the script's own
A_CALL, A_LINE = 4e-7, 3e-6  # seconds that Python and we take for one, about
MOST_CALLS = 5000  # after a step; then nothing is told of until the next one


class News(ABC):
    """Waits for a line that is new, in the functions that were watched.

    Args:
        codes: Their code.
        tell: Called with the frame, as the line begins; behind the wall.
        passes: Asked what to do with an exception of our own work.
    """

    def __init__(
        self,
        codes: Iterable[CodeType],
        tell: Callable[[FrameType], None],
        passes: Callable[[BaseException], bool],
    ) -> None:
        self._codes = {id(code): code for code in codes}
        self._tell, self._passes = tell, passes
        self._known: set[tuple[str, int]] = set()
        self._inside: set[tuple[str, int]] = set()  # lines of a round, up to its step
        self._sources: dict[str, Source] = {}
        self._pid = os.getpid()

    def learn(self, records: Sequence[LineRecord], first: int) -> None:
        """These lines have run, so many of them in the first steps, from their beginnings on."""
        stepped = {r.step: r.index for r in records for e in r.events if e.kind == "step"}
        for record in records:
            lines = {(record.file, record.line + i) for i in range(record.source.count("\n") + 1)}
            self._known |= lines
            if (
                record.index < first
                and record.index <= stepped.get(record.step, -1)
                and not _is_loop(record.source)
            ):
                self._inside |= lines

    @abstractmethod
    def begin(self) -> None:
        """Wait from now on."""

    @abstractmethod
    def on_step(self, frame: FrameType | None) -> None:
        """One of the watched optimizers has stepped; `frame` is the innermost one that runs."""

    @abstractmethod
    def end(self) -> None:
        """Wait no more, and leave everything as it was found."""

    def _is_new(self, frame: FrameType) -> bool:
        """Whether a line that is about to run has not run before, and calls something."""
        code = frame.f_code
        if (code.co_filename, frame.f_lineno) in self._known or self._pid != os.getpid():
            return False
        source = self._sources.get(code.co_filename)
        if source is None:
            source = self._sources[code.co_filename] = Source(frame)
        one = source.at(frame.f_lineno)
        self._known |= {(code.co_filename, line) for line in range(one.first, one.last + 1)}
        is_around = any(
            file == code.co_filename and one.last < line <= one.end for file, line in self._inside
        )
        return not is_around and any(isinstance(node, ast.Call) for node in nodes_of(one.text))


class Told(News):
    """Told by `sys.monitoring`, with a tool of its own."""

    _tool: int | None = None

    def begin(self) -> None:
        """Wait from now on."""
        self._has_stepped = True
        python: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        self._python = python
        self._tool = next(filter(self._take, (3, 4)), None)
        if self._tool is not None:
            line = python.events.LINE
            python.register_callback(self._tool, line, self._on_line)
            for code in self._codes.values():
                python.set_local_events(self._tool, code, line)

    def _take(self, tool: int) -> bool:
        try:
            self._python.use_tool_id(tool, "companion, later")
        except ValueError:
            return False
        return True

    def on_step(self, frame: FrameType | None) -> None:
        """One of the watched optimizers has stepped."""
        self._has_stepped = True

    def end(self) -> None:
        """Give the tool back."""
        tool, self._tool = self._tool, None
        if tool is not None and self._python.get_tool(tool) == "companion, later":
            for code in self._codes.values():
                self._python.set_local_events(tool, code, 0)
            self._python.register_callback(tool, self._python.events.LINE, None)
            self._python.free_tool_id(tool)

    def _on_line(self, code: CodeType, line: int) -> Any:
        try:
            if (code.co_filename, line) in self._inside:
                self._has_stepped = False
                return None
            frame = sys._getframe(1)
            if self._has_stepped and self._is_new(frame):
                self._tell(frame)
            return self._python.DISABLE if (code.co_filename, line) in self._known else None
        except BaseException as error:
            self.end()
            if self._passes(error):
                raise
            return None


class Traced(News):
    """Told by `sys.settrace`, which nobody else has: from a step to the next round's first line."""

    def begin(self) -> None:
        """Wait from now on."""
        self._frames: list[FrameType] = []
        self._spent, self._began = 0.0, perf_counter()
        self._calls = 0

    def on_step(self, frame: FrameType | None) -> None:
        """One of the watched optimizers has stepped: look at lines from here on."""
        self.end()
        if sys.gettrace() is not None or self._spent > GRACE + SHARE * (
            perf_counter() - self._began
        ):
            return
        self._calls = 0
        while frame is not None:
            if id(frame.f_code) in self._codes and frame.f_trace is None:
                self._frames.append(frame)
                frame.f_trace = self._on_event
            frame = frame.f_back
        if self._frames:
            sys.settrace(self._on_call)
            self._spent += 3 * A_LINE

    def end(self) -> None:
        """Look at no line."""
        frames, self._frames = self._frames, []
        if sys.gettrace() == self._on_call:
            sys.settrace(None)
        for frame in frames:
            if frame.f_trace == self._on_event:
                frame.f_trace = None

    def _on_call(self, frame: FrameType, event: str, value: object) -> None:
        """Python calls a function: in it nothing is looked at."""
        try:
            self._calls += 1
            self._spent += A_CALL
            if self._calls > MOST_CALLS:
                self.end()
        except BaseException as error:
            self.end()
            if self._passes(error):
                raise

    def _on_event(self, frame: FrameType, event: str, value: object) -> Any:
        """A frame comes to a line, or is left."""
        try:
            self._spent += A_LINE
            if event == "return":
                self._frames = [one for one in self._frames if one is not frame]
            elif event == "line":
                if (frame.f_code.co_filename, frame.f_lineno) in self._inside:
                    self.end()
                elif self._is_new(frame):
                    self.end()
                    self._tell(frame)
        except BaseException as error:
            self.end()
            if self._passes(error):
                raise
        return None


def news(
    codes: Iterable[CodeType],
    tell: Callable[[FrameType], None],
    passes: Callable[[BaseException], bool],
) -> News:
    """One that waits in this Python's way."""
    kind = Told if sys.version_info >= (3, 12) else Traced
    return kind(codes, tell, passes)


def _is_loop(text: str) -> bool:
    """Whether it heads a loop: it runs before a round, and when there is none any more."""
    return text.startswith(("for ", "while ", "async for "))


keep_out_dynamo(Told._on_line, Traced._on_call, Traced._on_event)
