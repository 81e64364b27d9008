"""Python's trace functions: taken from whoever had them, and handed back as they were found."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from types import CodeType, FrameType, MethodType
from typing import Any, Literal, TypeAlias

from companion.tracing.code.source import Source, Statement
from companion.tracing.place import Place

Phase: TypeAlias = Literal[
    "off",  # not started, or over
    "watching",  # lines are followed
    "dozing",  # no line is followed until the next backward or step
    "paused",  # there is no trace function, only the optimizers' step hook
    "failed",  # an exception came while we worked, and Python has dropped the trace function
    "deep",  # the same, where the stack had become too deep to call anything
]


class Hooked:
    """Whoever has a trace function of Python's, knows what was there before, and hands it back.

    Attributes:
        phase: What it does now.
    """

    def __init__(self) -> None:
        self.phase: Phase = "off"
        self._sources: dict[int, tuple[CodeType, Source]] = {}
        self._prepare()

    def _prepare(self, code: CodeType | None = None) -> None:
        self._thread = threading.get_ident()
        self._failure: int | None = None  # the id of the exception that came while we worked
        self._places: list[Place] = []
        self._handed_back: dict[int, Any] = {}
        self._previous_global: Any = None
        self._header: Statement | None = None
        self._base: FrameType | None = None  # the outermost frame that is followed
        self._code = self._awaited = code  # or what will be, once it is called

    @property
    def running(self) -> bool:
        """Whether it was started, and is not over."""
        return self.phase != "off"

    @property
    def is_still(self) -> bool:
        """Whether it has no trace function now."""
        return self.phase in ("paused", "deep")

    def on_global_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """Python calls a function: the trace function."""
        raise NotImplementedError

    def on_local_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """A followed frame comes to a line, returns or raises: its local trace function."""
        raise NotImplementedError

    def _take(self) -> None:
        """Remember who has Python's trace function: `install` takes it."""
        self._previous_global = still_running(sys.gettrace())
        _running.add(self)

    def install(self) -> None:
        """Become Python's trace function."""
        if not self.is_still:
            sys.settrace(self.on_global_event)

    def follow(self, frames: Sequence[FrameType], *, begun: bool = False) -> None:
        """Watch these frames, outermost first, from the line that is under way in each.

        With `begun` these are lines of the loop; without, the one that enters the trace.
        """
        self._base = frames[0]
        if self.is_still:
            return
        for frame in frames:
            before = frame.f_trace
            if before == self.on_local_event:
                before = self._handed_back.get(id(frame))
            self._enter(frame, before, begun=begun)
            frame.f_trace = self.on_local_event
        if not begun:
            self._header = self._places[0].header

    def _enter(self, frame: FrameType, previous: Any, *, begun: bool = False) -> None:
        code = frame.f_code
        if id(code) not in self._sources:
            self._sources[id(code)] = code, Source(frame)
        source = self._sources[id(code)][1]
        header = None if begun else source.at(frame.f_lineno)
        if begun and frame is self._base:
            header = self._header
        self._places.append(Place(frame, previous, len(self._places), source, header))

    def _under_way(
        self, frame: FrameType | None, follows: Callable[[CodeType], bool]
    ) -> list[FrameType]:
        """The frames to be followed of those that run, outermost first; none without the base.

        Args:
            frame: The innermost one.
            follows: Whether the lines of a function are watched, besides those of the base.
        """
        stack: list[FrameType] = []
        base = -1
        while frame is not None:
            stack.append(frame)
            if frame is self._base or frame.f_code is self._code:
                base = len(stack) - 1  # of a function that calls itself, the outermost call
            frame = frame.f_back
        if base < 0:
            return []
        inside = [frame for frame in stack[:base] if follows(frame.f_code)]
        return [*inside, stack[base]][::-1]

    def _is_on_top(self) -> bool:
        """Whether nobody has taken Python's trace function from this."""
        return sys.gettrace() == self.on_global_event or self._failure is not None

    def abandon(self) -> None:
        """Hand everything back, whatever state it is in, and watch no more."""
        places, self._places = self._places, []
        self.phase = "off"
        _running.discard(self)
        try:
            if self._is_on_top() and self._thread == threading.get_ident():
                sys.settrace(still_running(self._previous_global))
        finally:
            self._let_go(places)

    def _let_go(self, places: Sequence[Place]) -> None:
        """Hand frames back to the trace function they had before."""
        for place in places:
            self._handed_back[id(place.frame)] = place.previous
            if place.frame.f_trace == self.on_local_event or self._failure is not None:
                place.frame.f_trace = still_running(place.previous, place.frame)

    def _step_aside(self) -> None:
        """Have no trace function for a while."""
        self.phase = "paused"
        if sys.gettrace() == self.on_global_event:
            sys.settrace(still_running(self._previous_global))
        self._let_go(self._places)
        self._places = []
        for other in _running:  # a trace inside this one passes its events on to this one
            if other._previous_global == self.on_global_event:
                other._previous_global = self._previous_global
            for place in other._places:
                if place.previous == self.on_local_event:
                    place.previous = self._handed_back.get(id(place.frame))


_running: weakref.WeakSet[Hooked] = weakref.WeakSet()


def _forget_in_a_fork() -> None:
    """A forked process (a worker of a DataLoader) is not watched."""
    ours = list(_running)
    for one in ours:
        one.phase = "off"
    if isinstance(owner(sys.gettrace()), Hooked):
        sys.settrace(still_running(sys.gettrace()))
    for one in ours:
        one.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_a_fork)


def owner(function: object) -> object:
    """The object whose method a trace function is."""
    return function.__self__ if type(function) is MethodType else None


def still_running(function: Any, frame: FrameType | None = None) -> Any:
    """The trace function to hand back: traces that ended out of order, or pause, are left out."""
    while isinstance(one := owner(function), Hooked):
        if one.running and not one.is_still:
            break
        function = one._previous_global if frame is None else one._handed_back.get(id(frame))
    return function


def taken_over(line: int, current: object) -> str:
    """What ended a trace at this line, where `current` is Python's trace function now."""
    who = "(a debugger, or sys.settrace) took Python's tracing over"
    if current is None:
        who = "(sys.settrace, or a RecursionError) switched Python's tracing off"
    return f"the trace ends at line {line}: there, something else {who}"
