"""`sys.settrace`: taken from whoever had it, and handed back as it was found.

A tracer that was there before gets every event too.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Sequence
from types import FrameType, MethodType
from typing import Any

from companion.isolation.wall import keep_out_dynamo
from companion.tracing.calls import PLAIN
from companion.tracing.place import Place
from companion.tracing.sources.source import Listener, Source, Taken


class Settrace(Source):
    """Has Python's trace function, knows what was there before, and hands it back."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._previous: Any = None
        self._quiet: set[int] = set()  # the ids of codes whose calls mean nothing, as nearly all
        self._handed_back: dict[int, Any] = {}
        self._dropped = False  # by Python, as an exception came out of it

    def take(self) -> bool:
        """Remember who has Python's trace function: `install` takes it."""
        self._handed_back, self._dropped = {}, False
        self._quiet = set()
        self._previous = still_running(sys.gettrace())
        _running.add(self)
        return True

    def forget(self) -> None:
        """Keep no code alive."""
        super().forget()
        self._quiet = set()

    def install(self) -> None:
        """Become Python's trace function."""
        sys.settrace(self.on_global_event)

    def resume(self) -> None:
        """The same, after `rest`."""
        self._previous = sys.gettrace()
        sys.settrace(self.on_global_event)

    def follow(self, place: Place) -> None:
        """Become the trace function of a frame that runs already."""
        before = place.frame.f_trace
        if before == self.on_local_event:
            before = self._handed_back.get(id(place.frame))
        place.previous = before
        place.frame.f_trace = self.on_local_event

    def let_go(self, places: Sequence[Place]) -> None:
        """Hand frames back to the trace function they had before."""
        for place in places:
            self._handed_back[id(place.frame)] = place.previous
            if place.frame.f_trace == self.on_local_event or self._dropped:
                place.frame.f_trace = still_running(place.previous, place.frame)

    def rest(self, places: Sequence[Place]) -> None:
        """Have no trace function for a while."""
        if sys.gettrace() == self.on_global_event:
            sys.settrace(still_running(self._previous))
        self.let_go(places)
        for other in _running:  # a trace inside this one passes its events on to this one
            if other._previous == self.on_global_event:
                other._previous = self._previous
            for place in other.listener.places:
                if place.previous == self.on_local_event:
                    place.previous = self._handed_back.get(id(place.frame))

    def end(self, places: Sequence[Place]) -> None:
        """Hand everything back, whatever state it is in."""
        self.forget()  # for a thread that we cannot reach: `on_global_event`
        _running.discard(self)
        try:
            if self._is_on_top() and self.listener.thread == threading.get_ident():
                sys.settrace(still_running(self._previous))
        finally:
            self.let_go(places)

    def replace(self, other: Source) -> None:
        """Those that were begun after it, and pass their events on to it, pass them on to this."""
        if isinstance(other, Settrace):
            later = [one for one in _running if one._previous == other.on_global_event]
            for one in later:
                if one is not self:
                    one._previous = self.on_global_event
                    self._previous = other._previous

    def fail(self) -> None:
        """Python drops a trace function that raises."""
        self._dropped = True

    def _is_on_top(self) -> bool:
        """Whether nobody has taken Python's trace function from this."""
        return sys.gettrace() == self.on_global_event or self._dropped

    def taken(self) -> Taken | None:
        """Who else has taken Python's trace function, if anybody has."""
        current = sys.gettrace()
        if self._is_on_top() or isinstance(owner(current), Settrace):
            return None
        if current is None:
            who = "(sys.settrace, or a RecursionError)"
            did, had = "switched Python's tracing off", "had switched tracing off"
        else:
            who = "(a debugger, or sys.settrace)"
            did, had = "took Python's tracing over", "had taken Python's tracing over"
        return Taken(f"{who} {did}", f"{who} {had}", warns=current is not None)

    def on_global_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """Python calls a function (or goes on with a generator): the trace function."""
        local, listener = None, self.listener
        try:
            code = frame.f_code
            if id(code) in self._quiet and self._previous is None:
                return None
            if self._previous is not None:
                local = self._previous(frame, event, arg)
                watches = listener.running and not listener.is_still
                if watches and sys.gettrace() != self.on_global_event:
                    sys.settrace(self.on_global_event)  # coverage's C tracer puts itself first
            call = self.calls.get(id(code))
            if call is None:
                if not listener.running:  # ended by another thread
                    sys.settrace(still_running(self._previous))
                    return local
                call = self.meaning(code)
            if call is PLAIN and frame is not listener.base and code is not listener.code:
                if listener.base is None or code is not listener.base.f_code:
                    self._quiet.add(id(code))
                return local
            return self.on_local_event if listener.on_call(frame, call, local) else local
        except BaseException as error:
            if listener.passes(error):
                raise
            return local

    def on_local_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """A followed frame comes to a line, returns or raises: its local trace function."""
        listener = self.listener
        try:
            place = listener.place_of(frame)
            if place is None:
                return None
            if place.previous is not None:
                place.previous = place.previous(frame, event, arg) or place.previous
            if event == "exception":
                place.leaving = True
            elif event == "line":
                place.leaving = False
                listener.on_line(place)
            elif event == "return" and self._returns(place, arg):
                frame.f_trace = place.previous  # of a generator, which may go on elsewhere
                return place.previous
            return self.on_local_event if listener.places else None
        except BaseException as error:
            if listener.passes(error):
                raise
            return None

    def _returns(self, place: Place, value: object) -> bool:
        """A frame is left; by an exception, nothing is returned."""
        place.raised |= place.leaving and value is None
        return self.listener.on_return(place)


keep_out_dynamo(Settrace.on_global_event, Settrace.on_local_event)
_running: weakref.WeakSet[Settrace] = weakref.WeakSet()


def _forget_in_a_fork() -> None:
    """A forked process (a worker of a DataLoader) is not watched."""
    ours = list(_running)
    for one in ours:
        one.listener.phase = "off"
    if isinstance(owner(sys.gettrace()), Settrace):
        sys.settrace(still_running(sys.gettrace()))
    for one in ours:
        one.listener.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_a_fork)


def owner(function: object) -> object:
    """The object whose method a trace function is."""
    return function.__self__ if type(function) is MethodType else None


def still_running(function: Any, frame: FrameType | None = None) -> Any:
    """The trace function to hand back: traces that ended out of order, or pause, are left out."""
    while isinstance(one := owner(function), Settrace):
        if one.listener.running and not one.listener.is_still:
            break
        function = one._previous if frame is None else one._handed_back.get(id(frame))
    return function
