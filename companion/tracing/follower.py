"""Following running frames line by line: `sys.settrace`, handed back as it was found.

Whatever of ours runs while the script runs, runs behind `companion.isolation.wall`.
"""

from __future__ import annotations

import sys
import threading
from time import perf_counter
from types import CodeType, FrameType
from typing import Any

import torch
import torch.optim.optimizer as torch_optimizer
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from companion.isolation.wall import aside, is_ours, keep_out_dynamo, leave_out_us
from companion.isolation.words import words_of
from companion.tracing.calls import PLAIN, Call, is_called, meaning_of
from companion.tracing.hooked import Hooked, owner, still_running, taken_over
from companion.tracing.options import Options
from companion.tracing.place import Place, line_of
from companion.tracing.recorder import Recorder


class Follower(Hooked):
    """Follows one frame, and the functions called from it, and tells a recorder what they do."""

    def __init__(self, recorder: Recorder, options: Options) -> None:
        self._options = options
        self._recorder = recorder
        self._calls: dict[int, Call] = {}  # by the id of the code
        self._kept: list[CodeType] = []  # so that its id stays its own
        self._problem: str | None = None
        super().__init__()

    # Starting and stopping.

    def start(self, code: CodeType | None = None) -> None:
        """Begin to watch; with `code`, once a frame of that code is called."""
        self._prepare(code)
        self._problem = None
        enough = self._recorder.is_enough()
        if not enough:
            aside(self._recorder.measure_anew)
        self._take()
        self.phase = "paused" if enough else "watching"
        if self._options.hooks:
            register_optimizer_step_post_hook(self.on_step)

    def record_line_under_way(self) -> None:
        """The innermost line under way has only just begun: it gets a record like any other."""
        place = self._places[-1]
        place.recorded = False
        self._recorder.count(place.frame, place.current.first)

    @property
    def reached(self) -> bool:
        """Whether a frame was followed, or none was to be."""
        return self._base is not None or self.phase in ("paused", "failed", "deep")

    def stop(self, error: BaseException | None) -> str | None:
        """Stop watching, and hand back what was there before.

        Returns:
            What the user should know, if he does not know it: that watching ended earlier.
        """
        current, phase, on_top = sys.gettrace(), self.phase, self._is_on_top()
        places = self._places
        self.abandon()
        if self._problem is not None:
            return self._problem
        if phase == "deep":
            self._recorder.note("the rest: Python's stack had become too deep to be watched")
        elif self._failure is not None and self._failure != id(error):
            self._recorder.note(
                "the rest: an exception came while a line was measured, and was caught"
            )
        elif self._thread != threading.get_ident() and places:
            self._recorder.note("the rest: it ran in another thread")
        elif phase != "paused" and places:
            if on_top or isinstance(owner(current), Follower):
                self._finish_trace(error, places)
            elif error is None:
                words = taken_over(places[0].current.first, current)
                self._recorder.note(words)
                return None if current is None else words
        return None

    def _finish_trace(self, error: BaseException | None, places: list[Place]) -> None:
        """The block is over; an exception that ends it is noted on the line it came through."""
        try:
            aside(self._recorder.finish, places[-1])
            line = line_of(error, places, self._options.follows)
            if line is not None and error is not None:
                self._recorder.note_raised(line, error)
        except Exception as failure:
            if not is_ours(failure):
                raise

    def abandon(self) -> None:
        """Leave everything as it was found, and record no more."""
        self._awaited, self._base = None, None
        self._calls, self._kept = {}, []  # for a thread that we cannot reach: `on_global_event`
        try:
            super().abandon()
        finally:
            hooks = torch_optimizer._global_optimizer_post_hooks
            for key in [key for key, hook in [*hooks.items()] if hook == self.on_step]:
                del hooks[key]

    def give_up(self, words: str) -> None:
        """Watch no more, and say why; the script goes on."""
        self._recorder.give_up(words)
        self._pause()

    def _pause(self) -> None:
        """Watch nothing until `_resume`: no trace function, only the optimizers' step hook."""
        self._step_aside()
        self._recorder.forget()

    def _doze(self) -> None:
        """Follow no line until the next backward or step: an agent acts, or a model is tested."""
        self.phase = "dozing"
        self._let_go(self._places)
        self._places = []
        self._recorder.forget()

    def _resume(self, frame: FrameType | None) -> bool:
        """Watch again, from the lines under way. `frame` is the innermost one that runs."""
        frames = self._under_way(frame, self._options.follows)
        if not frames:
            return False  # the watched frame is not running; at another step, perhaps
        has_function = self.phase == "dozing"
        self.phase, self._awaited, self._recorder.silent = "watching", None, True
        self._recorder.measure_anew()
        self.follow(frames, begun=True)
        if not has_function:
            self._previous_global = sys.gettrace()
            sys.settrace(self.on_global_event)
        return True

    # Events. A tracer that was there before gets every one of them too.

    def on_global_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """Python calls a function (or goes on with a generator): the trace function."""
        local = None
        try:
            code = frame.f_code
            if self._previous_global is not None:
                local = self._previous_global(frame, event, arg)
                watches = self.running and not self.is_still
                if watches and sys.gettrace() != self.on_global_event:
                    sys.settrace(self.on_global_event)  # coverage's C tracer puts itself first
            call = self._calls.get(id(code))
            if call is None:
                if not self.running:  # ended by another thread
                    sys.settrace(still_running(self._previous_global))
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
        if self.phase == "dozing" and not (call.wakes and aside(self._resume, frame)):
            return local
        if not self._places or self.is_still or not is_called(frame):
            return local
        if call.matters:
            aside(self._recorder.called, call, frame)
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

    def on_local_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        """A followed frame comes to a line, returns or raises: its local trace function."""
        try:
            began = perf_counter()
            for place in reversed(self._places):
                if place.frame is frame:
                    result = self._on_event(place, event, arg)
                    self._recorder.budget.spent += perf_counter() - began
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
        elif event == "exception":
            place.raised = True
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
            self._failure = id(error)  # Python now drops this trace function
            self.phase = "failed"
            leave_out_us(error)
        except RecursionError:  # nothing can be called here any more
            self.phase = "deep"
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
        recorder = self._recorder
        recorder.count(frame, statement.first)
        recorder.note_gone()
        if recorder.is_enough():
            self._pause()
            if recorder.ended:
                self._options.ended()
        elif recorder.is_idle():
            self._doze()
        else:
            place.begin(frame)
            recorder.begin(place)

    def _finish_line(self, *, begun: bool = False) -> None:
        """The innermost line under way is over, or (`begun`) calls a function that is followed."""
        self._recorder.finish(self._places[-1], begun=begun)

    def on_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer has stepped, in any thread; torch's own hook says so."""
        try:
            if torch.compiler.is_compiling():  # a compiled step is one without us
                return
            here = threading.get_ident() == self._thread
            if here and not self._recorder.ended and self._failure is None:
                aside(self._note_step, optimizer, sys._getframe(1))
        except BaseException as error:
            if self._passes(error):
                raise

    def _note_step(self, optimizer: Optimizer, frame: FrameType) -> None:
        recorder = self._recorder
        if not recorder.knows(optimizer):
            if self._places and not self.is_still:
                recorder.other_stepped(optimizer)
        elif self.phase == "dozing":
            self._resume(frame)
            recorder.note_step(optimizer)
        elif not self.is_still:
            recorder.stepped(optimizer)
        elif recorder.skip(optimizer):
            self._resume(frame)


keep_out_dynamo(Follower.on_global_event, Follower.on_local_event, Follower.on_step)
