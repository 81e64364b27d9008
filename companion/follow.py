"""Following running frames line by line: Python's own `sys.settrace`, handed back as it was found.

From simple to complex: `Options` (what is to be watched), `Follower` (the trace function, and
what it records). Whatever of ours runs while the script runs, runs behind `companion.wall`.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from types import CodeType, FrameType, MethodType
from typing import TYPE_CHECKING, Any

import torch
import torch.optim.optimizer as torch_optimizer
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from companion import variables
from companion._frames import local_variables
from companion._objects import attributes
from companion._raised import words_of
from companion.budget import Budget
from companion.calls import PLAIN, Call, is_called, meaning_of
from companion.events import Known
from companion.graphs import Spent
from companion.measure import Measurement, Meter
from companion.place import Place
from companion.records import Event, LineRecord
from companion.source import Source, Statement
from companion.steps import Steps
from companion.structure import counts_no_writes, step_details, unregistered
from companion.wall import aside, is_calm, is_ours, keep_out_dynamo, leave_out_us
from companion.watched import Watched, held, parameters_of

if TYPE_CHECKING:
    from _typeshed import TraceFunction


MOST_LINES = 100_000  # then the trace stops watching; it would fill the memory
MOST_IDLE = 1000  # lines without effect in a row; then nothing is watched until the next backward
MORE = 1  # reference to a network is the meter's
NEAR = 40  # nodes below a backward's roots by which its graph is known again
MOST_NODES = 100_000  # nodes that are remembered so


@dataclass(frozen=True)
class Options:
    """How much is watched.

    Attributes:
        follows: Whether the lines of a function that a watched line calls are watched too.
        admits: The same, asked at each call: the function's frame, and the frame it is called for.
        ended: Called once, when as much has been watched as was asked for.
        every: One step in so many is watched.
        steps: After so many watched steps nothing is watched any more; None for no end.
        hooks: Whether the follower sees itself when an optimizer steps; else it is told so.
    """

    follows: Callable[[CodeType], bool]
    every: int = 1
    steps: int | None = None
    admits: Callable[[FrameType, FrameType], bool] = lambda frame, caller: True
    ended: Callable[[], None] = lambda: None
    hooks: bool = True


class Follower:
    """Records what the lines of one frame, and of the functions followed from it, change."""

    def __init__(self, watched: Watched, records: list[LineRecord], options: Options) -> None:
        self._watched, self._records, self._options = watched, records, options
        names = {
            id(one): name for name, one in [*watched.networks.items(), *watched.optimizers.items()]
        }
        self._known = Known(names, Spent(NEAR, MOST_NODES))
        self._steps = Steps(watched.optimizers)
        self._calls: dict[int, Call] = {}  # by the id of the code
        self._kept: list[CodeType] = []  # so that its id stays its own
        self._watched_steps = 0
        self._other_steps = 0  # of optimizers that nobody named, with the networks' parameters
        self._last_step = 0
        self._idle = 0
        self._held: dict[int, tuple[Any, list[int], dict[str, Any]]] = {}
        self._sources: dict[int, tuple[CodeType, Source]] = {}
        self._silent = False  # in the rest of the step before a watched one: followed, not recorded
        self._budget = Budget(grace=3, share=1)  # for all that we do
        self._copies = Budget(grace=1, share=0.5)  # for keeping and comparing copies
        self._overlooked: dict[tuple[str, int], None] = {}
        self.unwatched: list[str] = []  # what was not looked at, and why: a sentence for each
        self.running = False
        self.ended = False  # watches no more: it has seen enough, or could not go on
        self._prepare(None)

    # Starting and stopping.

    def start(self, code: CodeType | None = None) -> None:
        """Begin to watch; with `code`, once a frame of that code is called."""
        self._prepare(code)
        self._previous_global: TraceFunction | None = _still_running(sys.gettrace())
        self._paused = self._is_enough()
        if not self._paused:
            aside(self._measure_anew)
        self.running = True
        _running.add(self)
        if self._options.hooks:
            register_optimizer_step_post_hook(self.on_step)

    def _prepare(self, code: CodeType | None) -> None:
        self._thread = threading.get_ident()
        self._failed: int | None = None  # the id of an exception that came while we worked
        self._dozing = self._deep = self._paused = False
        self._problem: str | None = None
        self._places: list[Place] = []
        self._handed_back: dict[int, Any] = {}
        self._header: Statement | None = None
        self._base: FrameType | None = None
        self._events: list[Event] = []
        self._code = self._awaited = code
        self._previous_global = None

    def _measure_anew(self) -> None:
        """What is there now is the state before the next line."""
        self._meter = Meter(self._watched, self._copies)
        self._loose = self._watched.left(MORE)  # made in the call of trace() itself
        self._state = self._meter.state

    def follow(self, frames: Sequence[FrameType], *, begun: bool = False) -> None:
        """Watch these frames, outermost first, from the line that is under way in each.

        With `begun` these are lines of the loop; without, the one that enters the trace.
        """
        self._base = frames[0]
        if self._paused:
            return
        for frame in frames:
            before = frame.f_trace
            if before == self.on_local_event:
                before = self._handed_back.get(id(frame))
            self._enter(frame, before, begun=begun)
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

    def stop(self, error: BaseException | None) -> str | None:
        """Stop watching, and hand back what was there before.

        Returns:
            What the user should know, if he does not know it: that watching ended earlier.
        """
        current = sys.gettrace()
        on_top = current == self.on_global_event or self._failed is not None
        places = self._places
        self._leave()
        if self._problem is not None:
            return self._problem
        if self._deep:
            self._note_rest("the rest: Python's stack had become too deep to be watched")
        elif self._failed is not None and self._failed != id(error):
            self._note_rest("the rest: an exception came while a line was measured, and was caught")
        elif self._thread != threading.get_ident() and places:
            self._note_rest("the rest: it ran in another thread")
        elif not self._paused and places:
            return self._finish(error, places, current, on_top=on_top)
        return None

    def _finish(
        self, error: BaseException | None, places: list[Place], current: Any, *, on_top: bool
    ) -> str | None:
        """The block is over. What the user should know, if he does not know it."""
        if on_top or isinstance(_owner(current), Follower):
            self._places = places
            try:
                aside(self._finish_trace, error)
            except Exception as failure:
                if not is_ours(failure):
                    raise
            self._places = []
            return None
        if error is not None:
            return None
        line = places[0].current.first
        if current is None:
            self._note_rest(
                f"the trace ends at line {line}: there, something else (sys.settrace, or a "
                "RecursionError) switched Python's tracing off"
            )
            return None
        return self._note_rest(
            f"the trace ends at line {line}: there, something else (a debugger, or sys.settrace) "
            "took Python's tracing over"
        )

    def _leave(self) -> None:
        """Hand everything back, whatever state it is in."""
        places, self._places = self._places, []
        self._awaited, self._base, self.running = None, None, False
        _running.discard(self)
        self._calls = {}  # a thread that we cannot reach from here: see `on_global_event`
        try:
            on_top = sys.gettrace() == self.on_global_event or self._failed is not None
            if on_top and self._thread == threading.get_ident():
                sys.settrace(_still_running(self._previous_global))
        finally:
            try:
                self._let_go(places)
            finally:
                hooks = torch_optimizer._global_optimizer_post_hooks
                for key in [key for key, hook in [*hooks.items()] if hook == self.on_step]:
                    del hooks[key]

    def _note_rest(self, words: str) -> str:
        self.unwatched.append(words)
        return words

    def give_up(self, words: str) -> None:
        """Watch no more, and say why; the script goes on."""
        self._note_rest(words)
        self.ended = True
        self._pause()

    def _pause(self) -> None:
        """Watch nothing until `_resume`: no trace function, only the optimizers' step hook."""
        self._paused = True
        if sys.gettrace() == self.on_global_event:
            sys.settrace(_still_running(self._previous_global))
        self._let_go(self._places)
        self._places = []
        self._forget()
        for other in _running:  # a trace inside this one passes its events on to this one
            if other._previous_global == self.on_global_event:
                other._previous_global = self._previous_global
            for place in other._places:
                if place.previous == self.on_local_event:
                    place.previous = self._handed_back.get(id(place.frame))

    def _forget(self) -> None:
        """Keep nothing of the script's alive; if it is the end, not even what was watched."""
        self._held.clear()
        vars(self).pop("_meter", None)
        if self.ended:
            self._watched.let_go()

    def _doze(self) -> None:
        """Follow no line until the next backward or step: an agent acts, or a model is tested."""
        self._idle = 0
        self._dozing = True
        self._let_go(self._places)
        self._places = []
        self._forget()

    def _resume(self, frame: FrameType | None) -> bool:
        """Watch again, from the lines under way. `frame` is the innermost one that runs."""
        stack: list[FrameType] = []
        base = -1
        while frame is not None:
            stack.append(frame)
            if frame is self._base or frame.f_code is self._code:
                base = len(stack) - 1  # of a function that calls itself, the outermost call
            frame = frame.f_back
        if base < 0:
            return False  # the watched frame is not running; at another step, perhaps
        inside = [frame for frame in stack[:base] if self._options.follows(frame.f_code)]
        frames = [*inside, stack[base]]
        self._paused, self._awaited, self._silent = False, None, True
        self._measure_anew()
        self._events = []
        self.follow(frames[::-1], begun=True)
        if not self._dozing:
            self._previous_global = sys.gettrace()
            sys.settrace(self.on_global_event)
        self._dozing = False
        return True

    def abandon(self) -> None:
        """Leave what is followed as it was found, and record no more."""
        self._leave()

    def _let_go(self, places: Sequence[Place]) -> None:
        """Hand frames back to the trace function they had before."""
        for place in places:
            self._handed_back[id(place.frame)] = place.previous
            if place.frame.f_trace == self.on_local_event or self._failed is not None:
                place.frame.f_trace = _still_running(place.previous, place.frame)

    # Events. A tracer that was there before gets every one of them too.

    def on_global_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """Python calls a function (or goes on with a generator): the trace function."""
        local = None
        try:
            code = frame.f_code
            if self._previous_global is not None:
                local = self._previous_global(frame, event, arg)
                if self.running and not self._paused and sys.gettrace() != self.on_global_event:
                    sys.settrace(self.on_global_event)  # coverage's C tracer puts itself first
            call = self._calls.get(id(code))
            if call is None:
                if not self.running:  # ended by another thread
                    sys.settrace(_still_running(self._previous_global))
                    return local
                self._kept.append(code)
                call = self._calls[id(code)] = meaning_of(code, self._options.follows)
            if call is PLAIN and frame is not self._base and self._awaited is not code:
                return local  # as nearly all calls are
            return self._on_call(frame, call, local)
        except BaseException as error:
            if self._passes(error):
                raise
            return local

    def _on_call(self, frame: FrameType, call: Call, local: Any) -> Any:
        if self._awaited is frame.f_code:
            self._awaited = None
            self._base = frame
            aside(self._enter, frame, local)
            return self.on_local_event
        if self._dozing and not (call.wakes and aside(self._resume, frame)):
            return local
        if not self._places or self._paused or not is_called(frame):
            return local
        if call.recogniser is not None or call.past or call.unscaling:
            aside(self._recognise, frame, call)
        caller = self._places[-1].frame
        if frame is self._base or (
            call.follows and frame is not caller and self._options.admits(frame, caller)
        ):
            for place in self._places:
                if place.frame is frame:  # a generator or coroutine that goes on
                    place.previous = local
                    return self.on_local_event
            aside(self._call_from_line, frame, local)
            return self.on_local_event
        return local

    def _call_from_line(self, frame: FrameType, local: Any) -> None:
        self._finish_line(begun=True)
        self._enter(frame, local)

    def _recognise(self, frame: FrameType, call: Call) -> None:
        """A call of torch, or one that may write uncounted."""
        if call.recogniser is not None and is_calm():
            seen = call.recogniser(local_variables(frame), frame, self._known)
            if seen is not None:
                self._events.append(seen)
        if call.past:
            self._meter.guard(variables.given_to(frame) if call.aimed else None)
        if call.unscaling:
            self._meter.doubt(self._meter.parameters)

    def on_local_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """A followed frame comes to a line, returns or raises: its local trace function."""
        try:
            began = perf_counter()
            for place in reversed(self._places):
                if place.frame is frame:
                    result = self._on_event(place, event, arg)
                    self._budget.spent += perf_counter() - began
                    return result
            return None
        except BaseException as error:
            if self._passes(error):
                raise
            return None

    def _on_event(self, place: Place, event: Any, arg: Any) -> Any:
        frame = place.frame
        if place.previous is not None:
            place.previous = place.previous(frame, event, arg) or place.previous
        if event == "line":
            aside(self._on_line, place, frame)
        elif event == "return" and place is not self._places[0]:
            aside(self._finish_line)
            self._places.remove(place)
            frame.f_trace = place.previous  # of a generator, which may go on elsewhere
            return place.previous
        return self.on_local_event if self._places else None

    def _passes(self, error: BaseException) -> bool:
        """Whether an exception in our own work goes on to the script; then it is without us."""
        try:
            if is_ours(error):
                where = self._places[-1].where() if self._places else ""
                self._problem = f"{where}companion cannot go on ({words_of(error)})"
                self.give_up(self._problem)
                return False
            self._failed = id(error)  # Python now drops this trace function
            leave_out_us(error)
        except RecursionError:  # nothing can be called here any more
            self._deep = self._paused = True
            return False
        return True

    def _on_line(self, place: Place, frame: FrameType) -> None:
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
        if self._watched.left(MORE) - self._loose:
            self._end("the network or the optimizer that was watched is gone")
        if self._is_enough():
            self._pause()
            if self.ended:
                self._options.ended()
            return
        self._idle += 1
        if self._idle > MOST_IDLE:
            self._doze()
            return
        place.begin(frame)
        text = place.current.text
        if place.reaches_past():
            self._meter.guard(variables.reached_by(text, frame))
        self._events += variables.before(text, frame)

    def on_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer has stepped, in any thread; torch's own hook says so."""
        if torch.compiler.is_compiling():  # a compiled step is one without us
            return
        try:
            here = threading.get_ident() == self._thread
            if here and not self.ended and self._failed is None:
                aside(self._note_step, optimizer, sys._getframe(1))
        except BaseException as error:
            if self._passes(error):
                raise

    def _note_step(self, optimizer: Optimizer, frame: FrameType) -> None:
        name = self._known.names.get(id(optimizer))
        if name is None:
            self._note_other_step(optimizer)
        elif self._dozing:
            self._resume(frame)
            self._steps.note(name)
        elif not self._paused:
            details = self._holdings(optimizer)
            if counts_no_writes(optimizer):
                self._meter.doubt(details["held"])
            if not self._steps.number:  # once is enough: it walks all modules' attributes
                details["unregistered"] = unregistered(
                    self._watched.networks, self._watched.optimizers.values()
                )
            self._events.append(Event("step", name, details))
        elif self._steps.is_last_skipped(name, self._options.every):
            self._steps.note(name)
            self._last_step = self._steps.number
            self._resume(frame)
        else:
            self._steps.skip(name)

    def _note_other_step(self, optimizer: Optimizer) -> None:
        """An optimizer that nobody named has stepped; it may hold what is watched, or held once."""
        if self._paused or not self._places:
            return
        if counts_no_writes(optimizer):
            self._meter.doubt(self._meter.parameters)
        name = self._wrapper_of(optimizer) or type(optimizer).__name__
        if name == type(optimizer).__name__ and name in self._watched.optimizers:
            name = f"{name} (not watched)"  # one without a name is called so
        holdings = self._holdings(optimizer)
        self._other_steps += bool(holdings["held"])
        self._events.append(Event("step", name, holdings))

    def _wrapper_of(self, optimizer: Optimizer) -> str | None:
        """The watched optimizer that is only a shell around this one, and has no hooks itself."""
        mine = held(optimizer).keys()
        return next(
            (
                name
                for name, one in self._watched.optimizers.items()
                if "_optimizer_step_post_hooks" not in attributes(one) and held(one).keys() == mine
            ),
            None,
        )

    def _holdings(self, optimizer: Optimizer) -> dict[str, Any]:
        """`step_details`, found out anew only when the optimizer holds others than before."""
        parameters = self._meter.parameters
        ids = [id(p) for p in parameters_of(optimizer)]
        known = self._held.get(id(optimizer))
        if known is None or known[0] is not parameters or known[1] != ids or known[2]["idle"]:
            known = parameters, ids, step_details(optimizer, parameters)
            self._held[id(optimizer)] = known
        return dict(known[2])

    def _is_enough(self) -> bool:
        """Whether the line that is over was the last one to be watched for now."""
        every, steps = self._options.every, self._options.steps
        self.ended |= steps is not None and self._watched_steps >= steps
        if steps is not None and self._other_steps > 4 * steps:
            self._end("only an optimizer's first steps are watched")
        if len(self._records) >= MOST_LINES:
            self._end(f"only the first {MOST_LINES} lines are watched")
        if self._budget.is_spent:
            self._end(f"watching had taken {self._budget.spent:.0f} s, more than the script itself")
        return self.ended or (self._steps.number % every != 0 and not self._silent)

    def _end(self, words: str) -> None:
        if not self.ended:
            self.ended = True
            self._note_rest(f"the rest: {words}")

    # Recording.

    def _enter(self, frame: FrameType, previous: Any, *, begun: bool = False) -> None:
        code = frame.f_code
        if id(code) not in self._sources:
            self._sources[id(code)] = code, Source(frame)
        source = self._sources[id(code)][1]
        header = None if begun else source.at(frame.f_lineno)
        if begun and frame is self._base:
            header = self._header
        self._places.append(Place(frame, previous, len(self._places), source, header))

    def _finish_line(self, *, begun: bool = False) -> None:
        """The line under way is over: what changed since it began is its doing.

        With `begun` it only calls a function that is followed from there.
        """
        place = self._places[-1]
        text = place.current.text
        if not begun and variables.reads(text):
            self._events += variables.after(text, place.frame, self._known.spent)
        measured = self._meter.measure()
        changed = measured.changed_gradients or measured.changed_parameters
        if changed or any(event.kind != "forward" for event in self._events):
            self._idle = 0
        if self._meter.overlooked:
            self._meter.overlooked = False
            self._overlook(place)
        if not self._silent and (changed or self._events or not place.recorded):
            self._record(place, measured)
        self._note(bool(measured.changed_parameters))
        place.recorded |= begun
        self._state = measured.state
        self._events = []

    def _overlook(self, place: Place) -> None:
        """Say once of a line that it was not looked at in every way."""
        key = place.source.name, place.current.first
        if key not in self._overlooked:
            self._overlooked[key] = None
            self._note_rest(
                f"{place.where()}writes that torch does not count (through .data, .numpy() and "
                "the like): comparing values had taken more than half of the script's own time"
            )

    def _record(self, place: Place, measured: Measurement) -> None:
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
                self._records[i] = replace(self._records[i], raised=words_of(error))
                return


keep_out_dynamo(Follower.on_global_event, Follower.on_local_event, Follower.on_step)

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
    return function.__self__ if type(function) is MethodType else None


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
