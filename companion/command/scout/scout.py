"""Finding the training loop of a script that nobody edited, and watching its first steps.

`Scout` waits for the training to begin, then a `Follower` takes over.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Any

import torch
from torch.optim.optimizer import Optimizer

from companion.command.scout.built import BUILD, import_next
from companion.command.scout.found import Found
from companion.command.scout.into import Into
from companion.command.scout.later import Later
from companion.command.scout.loaders import CODES, Loaders
from companion.command.scout.own import frames_of, is_direct, is_own, is_special
from companion.command.scout.tally import Tally, ends_well
from companion.command.scout.unwatched import Unwatched
from companion.isolation.budget import Budget
from companion.isolation.stepping import AFTER, BEFORE
from companion.isolation.wall import aside, is_calm, is_ours, keep_out_dynamo, leave_out_us
from companion.isolation.words import words_of
from companion.records.line import LineRecord
from companion.tracing.calls import PLAIN, Call
from companion.tracing.events.recognise import is_recognised
from companion.tracing.follower import Follower
from companion.tracing.guard.guard import Guard
from companion.tracing.measure.watched import Watched
from companion.tracing.options import Options
from companion.tracing.recorder import Recorder
from companion.tracing.result import Trace
from companion.tracing.sources.choice import source_for
from companion.tracing.sources.settrace import Settrace
from companion.tracing.sources.source import Listener, Source

_BACKWARD = torch.autograd.backward.__code__


class Scout(Listener):
    """Hears of calls until the training begins; then a `Follower` takes over.

    Args:
        steps: How many steps to watch.
        done: Called when they are over.
        place: The script, or the folder of the package, that runs.
        every: One step in so many is watched, if an optimizer makes them; then nothing later is.
        guarded: Whether a guard stays when they are over.
        into: What of a library is to be followed line by line, by name.

    Attributes:
        guard: It, once a training has begun; it looks only when the steps are over.
        routine: What was seen; None as long as no training has begun.
        loaders: Hears of loaders, and of processes that are started.
        problem: What made watching impossible, if anything did.
        backwards: How many backward calls were heard of before.
    """

    def __init__(
        self,
        steps: int,
        done: Callable[[], None],
        place: str | None = None,
        *,
        every: int = 1,
        guarded: bool = False,
        into: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._source: Source = Settrace(self)
        self._found = Found()
        self._done, self._steps, self._every, self._place = done, steps, every, place
        self._follower: Follower | None = None  # of the first steps
        self._later: Later | None = None
        self._missed, self.loaders = Unwatched(place), Loaders(place)
        self._insist: Callable[[], None] | None = None
        self._search, self._guarded = Budget(grace=5, share=0.2), guarded  # for finding the loop
        self._into = Into(into)
        self.guard: Guard | None = None
        self.routine: Trace | None = None
        self.problem: str | None = None
        self.backwards, self.tally, self._tried = 0, Tally(), -1
        self._records: list[LineRecord] = []

    @property
    def unwatched(self) -> list[str]:
        """Which lines made an optimizer step unwatched, and why: a sentence for each."""
        if self.routine is None:
            return self._missed.except_for(())
        shown = self.routine.records[: self._later.first if self._later else None]
        return [*self.routine.unwatched, *self._missed.except_for(shown)]

    def start(self, optimizers: Sequence[Optimizer] | None = None) -> None:
        """Begin to wait for the training; with its `optimizers` where it is under way already."""
        self._pid, self.thread = os.getpid(), threading.get_ident()
        self._top = sys._getframe(1) if optimizers is None else None
        for one in optimizers or ():
            self._found.optimizers[id(one)] = weakref.ref(one)
        # From here to the end: what torch.compile makes of a step is compiled anew where hooks are
        # others than before.
        BEFORE.add(self._on_step)
        AFTER.add(self._on_stepped)
        self._source = source_for(self, self._source)
        self.phase = "watching"
        self._source.install()

    def stop(self, error: BaseException | None, *, over: bool = True) -> None:
        """The script is over, or only the training that was waited for."""
        BEFORE.remove(self._on_step)
        AFTER.remove(self._on_stepped)
        if self._later is not None:
            self._later.stop(error)
        self.abandon()
        if self.guard is not None:
            self.guard.end(wait=error is None)
        if over and self._insist is None and self.problem is None and ends_well(error):
            aside(self._close)

    def _close(self) -> None:
        """The script has run to its end: its last record says so."""
        if not self.tally.number and not self.backwards:
            self.loaders.close(self._records)
        self.tally.close(self._records)
        if self.routine is None and self._records:
            self.routine = Trace("", self._records)

    def abandon(self) -> None:
        """Wait no more."""
        self.phase = "off"
        self._source.end(())

    def insist(self, act: Callable[[], None]) -> None:
        """Call this, which raises, at every optimizer's step from now on."""
        self._insist = act

    def meaning(self, code: CodeType) -> Call:
        """What a call of this code means."""
        wakes = code is BUILD or code in CODES or is_recognised(code)
        return Call(wakes=True) if wakes else PLAIN

    def on_call(self, frame: FrameType, call: Call, previous: Any = None) -> bool:
        """Python calls what may be the training's first."""
        if self.phase == "watching":
            import_next(frame.f_code)
            if self._search.is_spent:
                self._give_up("finding the loop had taken too long")
            else:
                with self._search:
                    aside(self._look, frame)
            if self._follower is not None:
                self._follower.on_call(frame, self._follower.meaning(frame.f_code), previous)
        return False  # what was called is torch's

    def passes(self, error: BaseException) -> bool:
        """Whether an exception in our own work goes on to the script; then it is without us."""
        try:
            if is_ours(error):
                self._give_up(words_of(error))
                return False
            leave_out_us(error)
        except RecursionError:  # nothing can be called here any more; we look again later
            return False
        return True

    def _give_up(self, words: str) -> None:
        """The script runs on, as it would alone."""
        self.abandon()
        if self._later is not None:
            self._later.abandon()
        if self.routine is not None and self.routine.records:
            self._missed.other.append(f"the rest: companion cannot go on ({words})")
            return
        self.problem = words
        self.routine = self._follower = self._later = self.guard = None

    def _look(self, frame: FrameType) -> None:
        """Take over, if a call of torch is the training's first."""
        if frame.f_code is BUILD:
            self._found.add_optimizer(frame.f_locals["self"])
        elif frame.f_code in CODES:
            self.loaders.hear(frame)
        elif self._begins(frame) and self._tried != self._found.changes:
            self._tried = self._found.changes
            self._take_over(frame)

    def _begins(self, frame: FrameType) -> bool:
        """Whether a call of torch is the training's first."""
        if not is_calm():  # jit.trace would record what is measured
            return False
        if frame.f_code is _BACKWARD:
            self.backwards += 1
            return True
        return self._found.begins(frame)

    def _take_over(self, frame: FrameType) -> None:
        self._into.look_up()
        frames, watched, large = self._find(frame)
        if watched is None:
            return
        self._every = self._every if watched.optimizers else 1
        running = {id(frame.f_code): frame.f_code for frame in frames}
        options = Options(
            lambda code: id(code) in running
            or (self._is_followed(code) and not is_special(code)),
            self._every, self._steps, admits=is_direct, ended=self._end, hooks=False,
        )  # fmt: skip
        recorder = Recorder(watched, options, self._found.built)
        self._into.say_missing(recorder.note)
        for name in large:
            recorder.note(f"{name}, which only takes part: it has more than 512 MiB")
        for words in self.loaders.children.ranks:
            recorder.note(words)
        self.guard = Guard(watched) if self._guarded else None
        self._records = recorder.records
        self.tally.watch(watched)
        self.routine = Trace(watched.title, recorder.records, recorder.unwatched)
        self._follower = Follower(recorder, options)
        self._later = Later(self._follower, recorder, self._find, self.passes)
        self.abandon()
        self._follower.start()
        self._follower.follow(frames, begun=True)
        self._follower.install(after=self._source)
        self._follower.record_line_under_way()

    def _is_followed(self, code: CodeType) -> bool:
        return is_own(code, self._place) or code in self._into

    def _find(self, frame: FrameType) -> tuple[list[FrameType], Watched | None, list[str]]:
        """The frames to be followed, what is to be watched there, and what is too large for it."""
        frames = frames_of(frame, self._top, self._is_followed)
        return frames, *self._found.watched(frames)

    def _end(self) -> None:
        """As much has been watched as was asked for."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.stop(None)
            if self.guard is not None:
                self.guard.begin()
            self._done()
        if self._later is not None and self.guard is not None and self._every == 1:
            self._later.wait()

    def _on_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Any optimizer is about to step, in any thread."""
        try:
            if not torch.compiler.is_compiling():
                aside(self._note_step, optimizer, sys._getframe(1))
        except BaseException as error:
            if self.passes(error):
                raise

    def _on_stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        try:
            if torch.compiler.is_compiling():
                return
            aside(self.tally.end, optimizer)
            if self._follower is not None:
                self._follower.on_step(optimizer, args, kwargs)
            elif self._later is not None and threading.get_ident() == self.thread:
                aside(self._later.on_step, optimizer, args, kwargs, sys._getframe(1))
            if self.guard is not None:
                self.guard.on_step(optimizer, args, kwargs)
        except BaseException as error:
            if self.passes(error):
                raise

    def _note_step(self, optimizer: Optimizer, frame: FrameType) -> None:
        if os.getpid() != self._pid:
            return
        self.tally.begin(optimizer)
        if threading.get_ident() != self.thread:
            self._missed.note(optimizer, "only the main thread is watched", frame)
            return
        self.loaders.epochs.on_step(optimizer)
        if self._insist is not None:
            self._insist()
        elif self._follower is not None:
            if self.tally.is_endless(optimizer, self._steps * self._every):
                if self.tally.watches(optimizer):
                    self._missed.note_library(frame)
                self._end()
        elif self.routine is not None:
            self._missed.note(optimizer, "only the first loop's first steps are watched", frame)
        elif self.problem is not None:
            self._missed.note(optimizer, f"the loop could not be watched ({self.problem})", frame)
        elif (taken := self._source.taken()) is not None:
            self._missed.note(optimizer, f"something else {taken.had}", frame)
        else:
            self._missed.note(optimizer, "it moves parameters of no network", frame)


keep_out_dynamo(Scout._on_step, Scout._on_stepped)
