"""Following running frames line by line, behind the wall, whoever tells of lines: see `sources`."""

from __future__ import annotations

import sys
import threading
from types import CodeType, FrameType
from typing import Any

import torch
from torch.optim.optimizer import Optimizer

from companion.isolation.stepping import AFTER
from companion.isolation.wall import aside, is_ours, keep_out_dynamo, leave_out_us
from companion.isolation.words import words_of
from companion.tracing.calls import Call, is_called, meaning_of
from companion.tracing.followed import Followed
from companion.tracing.phases import begin_part, end_part
from companion.tracing.place import Place, line_of, under_way
from companion.tracing.sources.choice import source_for
from companion.tracing.sources.source import Source


class Follower(Followed):
    """Follows one frame, and the functions called from it, and tells a recorder what they do."""

    def start(self, code: CodeType | None = None) -> None:
        """Begin to watch; with `code`, once a frame of that code is called."""
        self._prepare(code)
        self._problem = None
        enough = self._recorder.is_enough()
        if not enough:
            aside(self._recorder.measure_anew)
        self._source = source_for(self, self._source)
        self.phase = "paused" if enough else "watching"
        if self._options.hooks:
            AFTER.add(self.on_step)

    def install(self, after: Source | None = None) -> None:
        """Hear of calls from now on; `after` is a source that is over, and whose place is free."""
        if not self.is_still:
            self._source.install()
            if after is not None:
                self._source.replace(after)

    @property
    def codes(self) -> list[CodeType]:
        """Those of the functions that were followed."""
        return [code for code, _ in self._texts.values()]

    @property
    def reached(self) -> bool:
        """Whether a frame was followed, or none was to be."""
        return self.base is not None or self.phase in ("paused", "failed", "deep")

    def stop(self, error: BaseException | None) -> str | None:
        """Stop watching, and hand back what was there before.

        Returns:
            What the user should know, if he does not know it: that watching ended earlier.
        """
        phase, places, problem = self.phase, self.places, self._problem
        taken = self._source.taken()
        self.abandon()
        if problem is not None:
            return problem
        if phase == "deep":
            self._recorder.note("the rest: Python's stack had become too deep to be watched")
        elif self._failure is not None and self._failure != id(error):
            self._recorder.note(
                "the rest: an exception came while a line was measured, and was caught"
            )
        elif self.thread != threading.get_ident() and places:
            self._recorder.note("the rest: it ran in another thread")
        elif phase != "paused" and places:
            if taken is None:
                self._finish_trace(error, places)
            elif error is None:
                line = places[0].current.first
                words = f"the trace ends at line {line}: there, something else {taken.did}"
                self._recorder.note(words)
                return words if taken.warns else None
        return None

    def _finish_trace(self, error: BaseException | None, places: list[Place]) -> None:
        """The block is over; an exception that ends it is noted on the line it came through."""
        try:
            places[-1].raised |= error is not None
            aside(self._recorder.finish, places[-1])
            line = line_of(error, places, self._options.follows)
            if line is not None and error is not None:
                self._recorder.note_raised(line, error)
        except Exception as failure:
            if not is_ours(failure):
                raise

    def abandon(self) -> None:
        """Leave everything as it was found, and record no more."""
        self._awaited, self.base = None, None
        places, self.places = self.places, []
        self.phase = "off"
        try:
            self._source.end(places)
        finally:
            AFTER.remove(self.on_step)

    def _pause(self) -> None:
        """Watch nothing until `_resume`: only the optimizers' step hook is left."""
        self.phase = "paused"
        self._source.rest(self.places)
        self.places = []
        self._recorder.forget()

    def _doze(self) -> None:
        """Follow no line until the next backward or step: an agent acts, or a model is tested."""
        self.phase = "dozing"
        self._source.let_go(self.places)
        self.places = []
        self._recorder.forget()

    def _resume(self, frame: FrameType | None) -> bool:
        """Watch again, from the lines under way. `frame` is the innermost one that runs."""
        frames = under_way(frame, self.base, self.code, self._options.follows)
        if not frames:
            return False  # the watched frame is not running; at another step, perhaps
        rested = self.phase != "dozing"
        self.phase, self._awaited, self._recorder.silent = "watching", None, True
        self._recorder.measure_anew()
        self.follow(frames, begun=True)
        if rested:
            self._source.resume()
        return True

    def meaning(self, code: CodeType) -> Call:
        """What a call of this code means."""
        return meaning_of(code, self._options.follows)

    def on_call(self, frame: FrameType, call: Call, previous: Any = None) -> bool:
        """Python calls a function (or goes on with a generator): whether its lines are watched."""
        if self._awaited is frame.f_code:
            self._awaited = None
            self.base = frame
            aside(self._enter, frame).previous = previous
            return True
        if self.phase == "dozing" and not (call.wakes and aside(self._resume, frame)):
            return False
        if not self.places or self.is_still or not is_called(frame):
            return False
        if call.matters and self._recorder.heeds(call, frame):
            if call.part and self._begin_part(call.part, frame):
                return False
            aside(self._recorder.called, call, frame)
        caller = self.places[-1].frame
        if frame is self.base or (
            call.follows and frame is not caller and self._options.admits(frame, caller)
        ):
            place = self.place_of(frame)  # of a generator or coroutine that goes on
            if place is None:
                place = aside(self._call_from_line, frame)
            place.previous = previous
            return True
        return False

    def _begin_part(self, part: str, frame: FrameType) -> bool:
        """A library may run the loop: whether enough has been watched."""
        with self._recorder.extent.budget:
            began = aside(begin_part, self._recorder, self.places[-1], frame, part)
            return began and self._is_enough()

    def _is_enough(self) -> bool:
        """Whether the line, or the part of it, that is over was the last to be watched for now."""
        if not self._recorder.is_enough():
            return False
        self._pause()
        if self._recorder.ended:
            self._options.ended()
        return True

    def _call_from_line(self, frame: FrameType) -> Place:
        self._recorder.finish(self.places[-1], begun=True)
        end_part(self.places[-1])
        place = self._enter(frame)
        place.note_called(frame)
        return place

    def on_line(self, place: Place) -> None:
        """A followed frame comes to a line."""
        with self._recorder.extent.budget:
            aside(self._on_line, place, place.frame)

    def on_return(self, place: Place) -> bool:
        """A followed frame returns, yields or raises: whether it is followed no more."""
        if place is self.places[0]:
            return False
        with self._recorder.extent.budget:
            aside(self._recorder.finish, self.places[-1])
            self.places.remove(place)
        return True

    def passes(self, error: BaseException) -> bool:
        """Whether an exception in our own work goes on to the script; then it is without us."""
        try:
            if is_ours(error):
                where = self.places[-1].where() if self.places else ""
                self._problem = f"{where}companion cannot go on ({words_of(error)})"
                self._recorder.give_up(self._problem)
                self._pause()
                return False
            self._failure = id(error)
            self.phase = "failed"
            self._source.fail()
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
        recorder = self._recorder
        place.go_on(frame, statement)
        while self.places[-1] is not place:  # left without a word
            self.places[-1].raised = True
            recorder.finish(self.places[-1])
            self.places.pop()
        recorder.finish(place)
        recorder.count((id(frame.f_code), statement.first))
        recorder.note_gone()
        if self._is_enough():
            return
        if recorder.extent.is_idle():
            self._doze()
        else:
            place.begin(frame, statement)
            recorder.begin(place)

    def on_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer has stepped, in any thread; torch's own hook says so."""
        try:
            if torch.compiler.is_compiling():  # a compiled step is one without us
                return
            here = threading.get_ident() == self.thread
            if here and not self._recorder.ended and self._failure is None:
                aside(self._note_step, optimizer, sys._getframe(1))
        except BaseException as error:
            if self.passes(error):
                raise

    def _note_step(self, optimizer: Optimizer, frame: FrameType) -> None:
        recorder = self._recorder
        if not recorder.knows(optimizer):
            if self.places and not self.is_still:
                recorder.other_stepped(optimizer)
        elif self.phase == "dozing":
            self._resume(frame)
            recorder.note_step(optimizer)
        elif not self.is_still:
            recorder.stepped(optimizer)
        elif recorder.skip(optimizer):
            self._resume(frame)


keep_out_dynamo(Follower.on_step)
