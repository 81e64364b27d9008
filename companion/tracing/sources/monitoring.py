"""`sys.monitoring`, from Python 3.12 on: calls of all code, and lines of what is followed.

An exception that comes out of one of these callbacks goes to the script, as if raised there; no
event comes while one runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

from companion.isolation.wall import is_ours, keep_out_dynamo, leave_out_us
from companion.tracing.calls import PLAIN
from companion.tracing.place import Place
from companion.tracing.sources.desk import Desk
from companion.tracing.sources.source import Listener, Source, Taken


class Monitoring(Source):
    """Is told by the desk, which has the tool.

    Attributes:
        codes: Those whose frames are followed, by id.
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self.codes: dict[int, CodeType] = {}
        self._failed = False

    def take(self) -> bool:
        """The tool is needed."""
        self._failed = False
        return DESK.hold(self)

    def install(self) -> None:
        """Tell of calls from now on."""
        DESK.admit(self)

    def resume(self) -> None:
        """The same, after `rest`."""
        DESK.admit(self)

    def follow(self, place: Place) -> None:
        """Tell of the lines of a frame's code."""
        self.add(place.frame.f_code)

    def add(self, code: CodeType) -> None:
        """Frames of this code are followed."""
        if id(code) not in self.codes:
            self.codes[id(code)] = code
            DESK.update(code)
        if len(self.listener.places) > 1:
            DESK.deepen()

    def let_go(self, places: Sequence[Place]) -> None:
        """Tell of no line any more."""
        codes, self.codes = self.codes, {}
        for code in codes.values():
            DESK.update(code)

    def rest(self, places: Sequence[Place]) -> None:
        """Nothing is instrumented any more, if nobody else needs it."""
        DESK.dismiss(self)
        self.let_go(places)

    def end(self, places: Sequence[Place]) -> None:
        """The tool is needed no more."""
        try:
            self.rest(places)
        finally:
            DESK.release(self)
            self.forget()

    def replace(self, other: Source) -> None:
        """Nobody passes anything on: the desk tells each."""

    def fail(self) -> None:
        """Python goes on telling, whatever comes out of a callback."""
        self._failed = True
        self.rest(())

    def tell(self, act: Callable[..., Any], *args: Any) -> Any:
        """Call the listener: its own failure is no other's."""
        try:
            return act(*args)
        except BaseException as error:
            if self.listener.passes(error):
                raise
            return False

    def hears(self, thread: int) -> bool:
        """Whether it is to be told what happens in this thread."""
        return self.listener.thread == thread and not self.listener.is_still

    def taken(self) -> Taken | None:
        """Whether somebody else has taken our tool."""
        if self._failed or DESK.is_ours():
            return None
        return Taken("took our tool of sys.monitoring", "had taken our tool of sys.monitoring")


DESK: Desk[Monitoring] = Desk()

# What Python calls. Most calls come here once: then the desk silences them.


def _on_start(frame: FrameType, code: CodeType, offset: int) -> Any:
    """Python calls a function, or goes on with a generator, in any thread."""
    sources = DESK.sources
    return None if _on_call(frame, code) else DESK.silence(sources)


def _on_throw(frame: FrameType, code: CodeType, offset: int, thrown: BaseException) -> None:
    """A generator goes on with an exception; Python lets nobody silence that."""
    _on_call(frame, code)


def _on_call(frame: FrameType, code: CodeType) -> bool:
    """Whether the call means something to anybody."""
    here, means = get_ident(), False
    for source in DESK.sources:
        call = source.calls.get(id(code)) or source.tell(source.meaning, code)
        if call is PLAIN and code is not source.listener.code:
            continue
        means = True
        if call and source.hears(here) and source.tell(source.listener.on_call, frame, call):
            source.add(code)
    return means


def _on_line(frame: FrameType, code: CodeType, line: int) -> None:
    """Code that is followed comes to a line."""
    here = get_ident()
    for source in DESK.sources:
        place = source.listener.place_of(frame)
        if place is not None and source.hears(here):
            source.tell(source.listener.on_line, place)


def _on_jump(frame: FrameType, code: CodeType, offset: int, target: int) -> Any:
    """Code that is followed jumps; back to where its line began, Python tells of no line."""
    starts = {start: line for start, _, line in code.co_lines()}
    within = [line for start, end, line in code.co_lines() if start <= offset < end]
    if target >= offset or frame.f_lasti not in starts or within != [starts.get(target)]:
        return DESK.disable
    return _on_line(frame, code, frame.f_lineno)


def _on_return(frame: FrameType, code: CodeType, offset: int, value: object) -> None:
    """A function returns or yields, or an exception leaves it: then it may be any function."""
    here = get_ident()
    for source in DESK.sources:
        if len(source.listener.places) > 1:  # where the first one ends, nothing is done
            place = source.listener.place_of(frame)
            if place is not None and source.hears(here):
                source.tell(source.listener.on_return, place)


def _on_unwind(frame: FrameType, code: CodeType, offset: int, error: BaseException) -> None:
    """An exception leaves a function."""
    here = get_ident()
    for source in DESK.sources:
        place = source.listener.place_of(frame)
        if place is not None and source.hears(here):
            place.raised = True
    _on_return(frame, code, offset, error)


def _guarded(act: Callable[..., Any]) -> Callable[..., Any]:
    """A callback: what goes on to the script begins there, see `leave_out_us`."""

    def callback(code: CodeType, *told: Any) -> Any:
        try:
            return act(sys._getframe(1), code, *told)
        except BaseException as error:
            try:
                passes = _passes(error)
            except RecursionError:  # nothing can be called here any more
                for source in DESK.sources:
                    if source.listener.thread == get_ident():
                        source.listener.phase = "deep"
                return None
            if passes:
                raise
            return None

    return callback


def _passes(error: BaseException) -> bool:
    """Whether an exception goes on to the script; then nobody in this thread is told any more."""
    here = get_ident()
    for source in DESK.sources:
        if source.listener.thread == here:
            source.listener.passes(error)
    if not is_ours(error):
        leave_out_us(error)
        return True
    return False


if sys.version_info >= (3, 12):
    _EVENTS = sys.monitoring.events
    DESK.callbacks = {
        _EVENTS.PY_START: (_start := _guarded(_on_start)),
        _EVENTS.PY_RESUME: _start,
        _EVENTS.PY_THROW: _guarded(_on_throw),
        _EVENTS.LINE: _guarded(_on_line),
        _EVENTS.JUMP: _guarded(_on_jump),
        _EVENTS.PY_RETURN: (_return := _guarded(_on_return)),
        _EVENTS.PY_YIELD: _return,
        _EVENTS.PY_UNWIND: _guarded(_on_unwind),
    }
    keep_out_dynamo(_start)


def _forget_in_a_fork() -> None:
    """A forked process (a worker of a DataLoader) is not watched."""
    for listener in DESK.renew():
        listener.phase = "off"
        listener.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_a_fork)
