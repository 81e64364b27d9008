"""Following running frames line by line: Python's own `sys.settrace`, handed back as it was found.

From simple to complex: `Options` (what is to be watched), `_Place` (one followed frame),
`Follower` (the trace function, and what it records).
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from traceback import format_exception_only
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from companion import variables
from companion._frames import local_variables
from companion.events import Names, Recogniser, recogniser_of
from companion.measure import Measurement, Meter
from companion.records import Event, LineRecord
from companion.source import Source, Statement
from companion.steps import Steps
from companion.structure import step_details, unregistered
from companion.watched import Watched, held
from companion.writes import counts_no_writes, reaches_past, unscales

if TYPE_CHECKING:
    from _typeshed import TraceFunction


class _Call(NamedTuple):
    """What a call of some code means to a trace."""

    recogniser: Recogniser | None = None
    past: bool = False  # it may write uncounted
    unscaling: bool = False
    follows: bool = False  # its lines are watched


_PLAIN = _Call()

MOST_LINES = 100_000  # then the trace stops watching; it would fill the memory


@dataclass(frozen=True)
class Options:
    """How much is watched.

    Attributes:
        follows: Whether the lines of a function that a watched line calls are watched too.
        admits: The same, asked at each call: the function's frame, and the frame it is called for.
        ended: Called once, when as much has been watched as was asked for.
        every: One step in so many is watched.
        steps: After so many watched steps nothing is watched any more; None for no end.
    """

    follows: Callable[[CodeType], bool]
    every: int = 1
    steps: int | None = None
    admits: Callable[[FrameType, FrameType], bool] = lambda frame, caller: True
    ended: Callable[[], None] = lambda: None


class _Place:
    """One followed frame, and the statement that is under way in it."""

    def __init__(
        self, frame: FrameType, previous: Any, depth: int, source: Source, header: Statement | None
    ) -> None:
        self.frame = frame
        self.previous = previous  # the frame's trace function before ours
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

    def reaches_past(self) -> bool:
        """Whether the statement under way may write past the version counters."""
        return any(line in self.uncounted for line in _lines(self.current))


def _lines(statement: Statement) -> range:
    return range(statement.first, statement.last + 1)


class Follower:
    """Records what the lines of one frame, and of the functions followed from it, change."""

    def __init__(self, watched: Watched, records: list[LineRecord], options: Options) -> None:
        self._watched, self._records, self._options = watched, records, options
        self._names: Names = {
            id(one): name for name, one in [*watched.networks.items(), *watched.optimizers.items()]
        }
        self._steps = Steps(watched.optimizers)
        self._calls: dict[int, _Call] = {}  # by the id of the code
        self._kept: list[CodeType] = []  # so that its id stays its own
        self._watched_steps = 0
        self._last_step = 0
        self._held: dict[int, tuple[Any, list[int], dict[str, Any]]] = {}
        self._sources: dict[int, tuple[CodeType, Source]] = {}
        self._silent = False  # in the rest of the step before a watched one: followed, not recorded
        self.running = False
        self.ended = False  # has watched as much as it was asked to

    # Starting and stopping.

    def start(self, code: CodeType | None = None) -> None:
        """Begin to watch; with `code`, once a frame of that code is called."""
        if self.running:
            raise RuntimeError(
                "this trace is already running; for a trace inside a trace make a second one "
                "with trace(net, optimizer)"
            )
        self._paused = self._is_enough()
        if not self._paused:
            self._measure_anew()
        self.running, self._failed = True, False
        self._code = self._awaited = code
        self._places: list[_Place] = []
        self._handed_back: dict[int, Any] = {}
        self._header: Statement | None = None
        self._base: FrameType | None = None
        self._events: list[Event] = []
        self._previous_global: TraceFunction | None = sys.gettrace()
        self._hooks = [
            optimizer.register_step_post_hook(self._on_step)
            for optimizer in self._watched.optimizers.values()
            if hasattr(optimizer, "_optimizer_step_post_hooks")
        ]
        self._hooks.append(register_optimizer_step_post_hook(self._on_other_step))
        _running.add(self)

    def _measure_anew(self) -> None:
        """What is there now is the state before the next line."""
        self._meter = Meter(self._watched)
        self._state = self._meter.state

    def follow(self, frames: Sequence[FrameType], *, begun: bool = False) -> None:
        """Watch these frames, outermost first, from the line that is under way in each.

        With `begun` these are lines of the loop; without, the one that enters the trace.
        """
        self._base = frames[0]
        if self._paused:
            return
        for frame in frames:
            self._enter(frame, frame.f_trace, begun=begun)
            frame.f_trace = self.on_local_event
        if not begun:
            self._header = self._places[0].header

    def record_line_under_way(self) -> None:
        """The innermost line under way has only just begun: it gets a record like any other."""
        place = self._places[-1]
        place.recorded = False
        self._steps.begin((id(place.frame.f_code), place.current.first))

    def install(self) -> None:
        """Become Python's trace function."""
        if not self._paused:
            sys.settrace(self.on_global_event)

    @property
    def reached(self) -> bool:
        """Whether a frame was followed, or none was to be."""
        return self._base is not None or self._paused

    def stop(self, error: BaseException | None, *, stacklevel: int = 3) -> None:
        """Stop watching, and hand back what was there before."""
        for hook in self._hooks:
            hook.remove()
        current = sys.gettrace()
        on_top = current == self.on_global_event or self._failed
        places, self._awaited, self.running = self._places, None, False
        self._base = None
        _running.discard(self)
        if self._paused:
            return
        if on_top:
            sys.settrace(_still_running(self._previous_global))
        self._let_go(places)
        if not places:
            return
        if on_top or isinstance(_owner(current), Follower):
            self._finish_trace(error)
        elif error is None:
            warnings.warn(
                f"the trace ends at line {places[0].current.first}: there, something else "
                "(a debugger, or sys.settrace) took Python's tracing over",
                RuntimeWarning,
                stacklevel=stacklevel + 1,
            )
        self._places = []

    def _pause(self) -> None:
        """Watch nothing until `_resume`: no trace function, only the optimizers' step hooks."""
        self._paused = True
        if sys.gettrace() == self.on_global_event:
            sys.settrace(_still_running(self._previous_global))
        self._let_go(self._places)
        self._places = []
        for other in _running:  # a trace inside this one passes its events on to this one
            if other._previous_global == self.on_global_event:
                other._previous_global = self._previous_global
            for place in other._places:
                if place.previous == self.on_local_event:
                    place.previous = self._handed_back.get(id(place.frame))

    def _resume(self, frame: FrameType | None) -> None:
        """Watch again, from the lines under way. `frame` is the innermost one that runs."""
        stack: list[FrameType] = []
        base = -1
        while frame is not None:
            stack.append(frame)
            if frame is self._base or frame.f_code is self._code:
                base = len(stack) - 1  # of a function that calls itself, the outermost call
            frame = frame.f_back
        if base < 0:
            return  # the watched frame is not running; at another step, perhaps
        inside = [frame for frame in stack[:base] if self._options.follows(frame.f_code)]
        frames = [*inside, stack[base]]
        self._paused, self._awaited, self._silent = False, None, True
        self._measure_anew()
        self._events = []
        self._previous_global = sys.gettrace()
        self.follow(frames[::-1], begun=True)
        sys.settrace(self.on_global_event)

    def abandon(self) -> None:
        """Leave what is followed as it was found, and record no more."""
        for hook in self._hooks:
            hook.remove()
        places, self._places, self._base = self._places, [], None
        self._let_go(places)

    def _let_go(self, places: Sequence[_Place]) -> None:
        """Hand frames back to the trace function they had before."""
        for place in places:
            self._handed_back[id(place.frame)] = place.previous
            if place.frame.f_trace == self.on_local_event or self._failed:
                place.frame.f_trace = _still_running(place.previous, place.frame)

    # Events. A tracer that was there before gets every one of them too.

    def on_global_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """Python calls a function (or goes on with a generator): the trace function."""
        code, local = frame.f_code, None
        if self._previous_global is not None:
            local = self._previous_global(frame, event, arg)
            if self.running and not self._paused and sys.gettrace() != self.on_global_event:
                sys.settrace(self.on_global_event)  # coverage's C tracer puts itself first
        call = self._calls.get(id(code))
        if call is None:
            call = self._calls[id(code)] = self._classify(code)
        if call is _PLAIN and frame is not self._base and self._awaited is not code:
            return local  # as nearly all calls are
        if self._awaited is code:
            self._awaited = None
            self._base = frame
            self._enter(frame, local)
            return self.on_local_event
        if not self._places or self._paused:
            return local
        if call.recogniser is not None:
            seen = call.recogniser(local_variables(frame), frame, self._names)
            if seen is not None:
                self._events.append(seen)
        if call.past:
            self._meter.guard()
        if call.unscaling:
            self._meter.doubt(self._meter.parameters)
        caller = self._places[-1].frame
        if frame is self._base or (
            call.follows and frame is not caller and self._options.admits(frame, caller)
        ):
            for place in self._places:
                if place.frame is frame:  # a generator or coroutine that goes on
                    place.previous = local
                    return self.on_local_event
            self._guarded(self._finish_line, begun=True)
            self._enter(frame, local)
            return self.on_local_event
        return local

    def _classify(self, code: CodeType) -> _Call:
        """What a call of this code means; asked once for each code."""
        self._kept.append(code)
        call = _Call(
            recogniser_of(code),
            bool(reaches_past(code)),
            unscales(code),
            self._options.follows(code),
        )
        return _PLAIN if call == _PLAIN else call

    def on_local_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """A followed frame comes to a line, returns or raises: its local trace function."""
        place = next((p for p in reversed(self._places) if p.frame is frame), None)
        if place is None:
            return None
        if place.previous is not None:
            place.previous = place.previous(frame, event, arg) or place.previous
        if event == "line":
            self._guarded(self._on_line, place, frame)
        elif event == "return" and place is not self._places[0]:
            self._guarded(self._finish_line)
            self._places.remove(place)
            frame.f_trace = place.previous  # of a generator, which may go on elsewhere
            return place.previous
        return None if self._paused else self.on_local_event

    def _guarded(self, act: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        try:
            act(*args, **kwargs)
        except BaseException:  # Ctrl-C while measuring: Python now drops this tracer
            self._failed = True
            raise

    def _on_line(self, place: _Place, frame: FrameType) -> None:
        statement = place.source.at(frame.f_lineno)
        # Python reports each line of a statement; it begins anew only where it began before.
        if statement is place.current and frame.f_lasti != place.start:
            return
        while self._places[-1] is not place:  # left without a word
            self._finish_line()
            self._places.pop()
        self._finish_line()
        self._steps.begin((id(frame.f_code), statement.first))
        if self._steps.number != self._last_step:
            self._last_step = self._steps.number
            self._watched_steps += not self._silent
            self._silent = False
        if self._is_enough():
            self._pause()
            if self.ended:
                self._options.ended()
            return
        place.begin(frame)
        if place.reaches_past():
            self._meter.guard()
        self._events += variables.before(place.current.text, frame)

    def _on_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer has stepped; its own hook says so."""
        name = self._names[id(optimizer)]
        if not self._paused:
            details = self._holdings(optimizer)
            if counts_no_writes(optimizer):
                self._meter.doubt(details["held"])
            if not self._steps.number:  # once is enough: it walks all modules' attributes
                details["unregistered"] = unregistered(
                    self._watched.networks, self._watched.optimizers.values()
                )
            self._events.append(Event("step", name, details))
            return
        if not self.ended and self._steps.is_last_skipped(name, self._options.every):
            self._steps.note(name)
            self._last_step = self._steps.number
            self._resume(sys._getframe(1))
        else:
            self._steps.skip(name)

    def _on_other_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer that nobody named has stepped; it may hold what is watched, or held once."""
        if id(optimizer) not in self._names and not self._paused and self._places:
            if counts_no_writes(optimizer):
                self._meter.doubt(self._meter.parameters)
            name = self._wrapper_of(optimizer) or type(optimizer).__name__
            if name == type(optimizer).__name__ and name in self._watched.optimizers:
                name = f"{name} (not watched)"  # one without a name is called so
            self._events.append(Event("step", name, self._holdings(optimizer)))

    def _wrapper_of(self, optimizer: Optimizer) -> str | None:
        """The watched optimizer that is only a shell around this one, and has no hooks itself."""
        mine = held(optimizer).keys()
        return next(
            (
                name
                for name, one in self._watched.optimizers.items()
                if not hasattr(one, "_optimizer_step_post_hooks") and held(one).keys() == mine
            ),
            None,
        )

    def _holdings(self, optimizer: Optimizer) -> dict[str, Any]:
        """`step_details`, found out anew only when the optimizer holds others than before."""
        parameters = self._meter.parameters
        ids = [id(p) for group in optimizer.param_groups for p in group["params"]]
        known = self._held.get(id(optimizer))
        if known is None or known[0] is not parameters or known[1] != ids or known[2]["idle"]:
            known = parameters, ids, step_details(optimizer, parameters)
            self._held[id(optimizer)] = known
        return dict(known[2])

    def _is_enough(self) -> bool:
        """Whether the line that is over was the last one to be watched for now."""
        every, steps = self._options.every, self._options.steps
        enough = steps is not None and self._watched_steps >= steps
        self.ended = enough or len(self._records) >= MOST_LINES
        return self.ended or (self._steps.number % every != 0 and not self._silent)

    # Recording.

    def _enter(self, frame: FrameType, previous: Any, *, begun: bool = False) -> None:
        code = frame.f_code
        if id(code) not in self._sources:
            self._sources[id(code)] = code, Source(frame)
        source = self._sources[id(code)][1]
        header = None if begun else source.at(frame.f_lineno)
        if begun and frame is self._base:
            header = self._header
        self._places.append(_Place(frame, previous, len(self._places), source, header))

    def _finish_line(self, *, begun: bool = False) -> None:
        """The line under way is over: what changed since it began is its doing.

        With `begun` it only calls a function that is followed from there.
        """
        place = self._places[-1]
        local_variables(place.frame)  # lets go of what the line has deleted
        self._events += variables.after(place.current.text, place.frame)
        measured = self._meter.measure()
        changed = measured.changed_gradients or measured.changed_parameters
        if not self._silent and (changed or self._events or not place.recorded):
            self._record(place, measured)
        self._note(bool(measured.changed_parameters))
        place.recorded |= begun
        self._state = measured.state
        self._events = []

    def _record(self, place: _Place, measured: Measurement) -> None:
        records = self._records
        record = LineRecord(
            index=len(records),
            file=place.source.name,
            line=place.current.first,
            source=place.current.text,
            indent=place.current.indent,
            before=self._state,
            after=measured.state,
            changed_gradients=measured.changed_gradients,
            changed_parameters=measured.changed_parameters,
            events=tuple(self._events),
            function=place.function,
            depth=place.depth,
            step=self._steps.number,
        )
        records.append(record)

    def _note(self, moved: bool) -> None:
        """What a line did, as far as it tells the steps."""
        for event in self._events:
            if event.kind == "backward":
                self._steps.note_backward()
            elif event.kind == "step" and event.name in self._watched.optimizers:
                self._steps.note(event.name)
        if moved:
            self._steps.note_move()

    def _finish_trace(self, error: BaseException | None) -> None:
        """The block is over; an exception that ends it is noted on the line it came through."""
        # After a failed measurement the user's own exception matters, not a second failure.
        with contextlib.suppress(Exception) if self._failed else contextlib.nullcontext():
            self._finish_line()
        frames = {place.frame: place for place in self._places}
        traceback = None if error is None else error.__traceback__
        line: tuple[str, int] | None = None
        while traceback is not None:
            place = frames.get(traceback.tb_frame)
            if place is not None:
                line = place.source.name, place.source.at(traceback.tb_lineno).first
            elif self._options.follows(traceback.tb_frame.f_code):
                source = Source(traceback.tb_frame)
                line = source.name, source.at(traceback.tb_lineno).first
            traceback = traceback.tb_next
        if line is None or error is None or self._silent:
            return
        for i in reversed(range(len(self._records))):
            if (self._records[i].file, self._records[i].line) == line:
                words = "".join(format_exception_only(type(error), error)).strip()
                self._records[i] = replace(self._records[i], raised=words)
                return


_running: weakref.WeakSet[Follower] = weakref.WeakSet()


def _forget_in_a_fork() -> None:
    """A forked process (a worker of a DataLoader) is not watched."""
    followers = list(_running)
    for follower in followers:
        follower.running = False
    if isinstance(_owner(sys.gettrace()), Follower):
        sys.settrace(_still_running(sys.gettrace()))
    for follower in followers:
        follower.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_a_fork)


def _owner(function: object) -> object:
    return getattr(function, "__self__", None)


def _still_running(function: Any, frame: FrameType | None = None) -> Any:
    """The trace function to hand back: traces that ended out of order, or pause, are left out."""
    while isinstance(follower := _owner(function), Follower):
        if follower.running and not follower._paused:
            break
        if frame is None:
            function = follower._previous_global
        else:
            function = follower._handed_back.get(id(frame))
    return function
