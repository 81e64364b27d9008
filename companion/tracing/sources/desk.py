"""Our one tool of `sys.monitoring`: all traces that run share it, each in its own thread.

Debuggers, coverage and profilers have tools of their own, and none of them notices this one. Where
a call means nothing to any trace, the call of that code is told no more: it costs nothing.
"""

from __future__ import annotations

import sys
import threading
import weakref
from types import CodeType
from typing import Any, Generic, Protocol, TypeVar

from companion.tracing.sources.source import Listener

NAME = "companion"
FREE = (4, 3)  # ids that are nobody's: 0 is a debugger's, 1 coverage's, 2 a profiler's, 5 Python's


class Served(Protocol):
    """Whom it serves.

    Attributes:
        codes: Those whose frames are followed, by id.
    """

    listener: Listener
    codes: dict[int, CodeType]


S = TypeVar("S", bound=Served)


class Desk(Generic[S]):
    """The tool, and the sources that it serves.

    Attributes:
        callbacks: What Python calls, by the event.
        sources: Those that are told, in the order in which they began.
        disable: What a callback answers so that Python does not call it there again.
    """

    def __init__(self) -> None:
        self.callbacks: dict[int, Any] = {}
        self.sources: tuple[S, ...] = ()
        self._python: Any = getattr(sys, "monitoring", None)
        self.disable: Any = getattr(self._python, "DISABLE", None)
        self._tool: int | None = None
        self._holders: list[S] = []
        self._followed: dict[int, CodeType] = {}  # whose lines are told
        self._silenced = False
        self._agree: weakref.WeakSet[S] = weakref.WeakSet()  # with what is silenced
        self._lock = threading.RLock()

    # The tool.

    def is_ours(self) -> bool:
        """Whether the tool is there, and nobody has taken it."""
        return self._tool is not None and self._python.get_tool(self._tool) == NAME

    def _open(self) -> bool:
        """Take a tool, unless we have it; whether there is one."""
        if self._python is None or self.is_ours():
            return self._python is not None
        self._followed.clear()
        self._tool = next(filter(self._take, FREE), None)
        if self._tool is None:
            return False
        for event, callback in self.callbacks.items():
            self._python.register_callback(self._tool, event, callback)
        return True

    def _take(self, tool: int) -> bool:
        try:
            self._python.use_tool_id(tool, NAME)
        except ValueError:
            return False  # somebody else's
        return True

    def _close(self) -> None:
        """Give the tool back as it was found."""
        if self.is_ours():
            for event in self.callbacks:
                self._python.register_callback(self._tool, event, None)
            self._python.free_tool_id(self._tool)
        self._tool = None

    # Those that it serves.

    def hold(self, source: S) -> bool:
        """The tool is needed until `release`; whether there is one."""
        with self._lock:
            if not self._open():
                return False
            self._holders.append(source)
            return True

    def release(self, source: S) -> None:
        """A source needs it no more."""
        with self._lock:
            self._holders = [one for one in self._holders if one is not source]
            if not self._holders:
                self._close()

    def admit(self, source: S) -> None:
        """Tell a source of calls."""
        with self._lock:
            # Asked before it is one of them: what runs here is silenced, too, and agrees with all.
            anew = self._silenced and source not in self._agree
            self.sources = (*self.sources, source)
            if not self.is_ours():
                return
            self._listen()
            if anew:
                self._python.restart_events()
                self._silenced = False
            if not self._silenced:
                self._agree = weakref.WeakSet(self.sources)

    def _listen(self) -> None:
        known = self._python.events
        calls = known.PY_START | known.PY_RESUME | known.PY_THROW
        if any(len(one.listener.places) > 1 for one in self.sources):
            calls |= known.PY_UNWIND  # whatever exception leaves whatever function, in any thread
        if calls & ~self._python.get_events(self._tool):
            self._python.set_events(self._tool, calls)

    def deepen(self) -> None:
        """A function is followed that a followed one calls: an exception may leave it."""
        with self._lock:
            if self.sources and self.is_ours():
                self._listen()

    def dismiss(self, source: S) -> None:
        """Tell it nothing any more."""
        with self._lock:
            self.sources = tuple(one for one in self.sources if one is not source)
            if not self.sources and self.is_ours():
                self._python.set_events(self._tool, 0)

    def silence(self, asked: tuple[S, ...]) -> Any:
        """What to answer where a call means nothing to any of these."""
        with self._lock:
            if asked is not self.sources:
                return None  # another thread has begun to watch meanwhile
            self._silenced = True
            if len(self._agree) != len(self.sources):
                self._agree = weakref.WeakSet(self.sources)
        return self.disable

    def update(self, code: CodeType) -> None:
        """Some source begins to follow frames of this code, or follows none any more."""
        with self._lock:
            wanted = any(id(code) in one.codes for one in self._holders)
            if wanted == (id(code) in self._followed) or not self.is_ours():
                return
            known = self._python.events
            if wanted:
                self._followed[id(code)] = code
            else:
                del self._followed[id(code)]
            lines = known.LINE | known.JUMP | known.PY_RETURN | known.PY_YIELD
            self._python.set_local_events(self._tool, code, lines if wanted else 0)

    def renew(self) -> list[Listener]:
        """In a forked process, where no other thread lives: who was served."""
        self._lock = threading.RLock()
        return [one.listener for one in self._holders]
