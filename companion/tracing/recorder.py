"""What lines did: measured when each is over, and recorded with the step it belongs to.

A recorder knows nothing of Python's events. It is told when a line begins, what it calls, when an
optimizer steps, and when the line is over, by whoever sees that: a `companion.tracing.follower`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from types import FrameType
from typing import Any

from torch.optim.optimizer import Optimizer

from companion.isolation.budget import Budget
from companion.isolation.wall import is_calm
from companion.isolation.words import words_of
from companion.records.line import Event, LineRecord
from companion.records.value import Value
from companion.tracing.calls import Call
from companion.tracing.code.frames import local_variables
from companion.tracing.code.uncounted import counts_no_writes
from companion.tracing.events import variables
from companion.tracing.events.holdings import Holdings, unregistered, wrapper_of
from companion.tracing.events.known import what_is_known
from companion.tracing.events.misnamed import misnamed
from companion.tracing.events.reached import Built, Reached
from companion.tracing.events.readers import Readers
from companion.tracing.events.recognise import is_of_interest
from companion.tracing.events.values import Values
from companion.tracing.extent import Extent
from companion.tracing.measure.meter import Measurement, Meter
from companion.tracing.measure.watched import Watched
from companion.tracing.options import Options
from companion.tracing.place import Place
from companion.tracing.shared import Shared
from companion.tracing.steps import Steps

CALLED = {"forward", "takes part"}
QUIET = {*CALLED, "dropout", "same rows"}  # a mere evaluation has these, too
MORE = 1  # reference to a network is the meter's


class Recorder:
    """Turns lines that begin and end into records.

    Attributes:
        records: What each line did, in the order of execution.
        unwatched: What was not looked at, and why: a sentence for each.
        ended: Nothing is watched any more: it has seen enough, or could not go on.
        silent: In the rest of the step before a watched one: lines are followed, not recorded.
        extent: How far it goes; whoever calls this adds the time that it takes.
    """

    def __init__(self, watched: Watched, options: Options, built: Built | None = None) -> None:
        self._watched, self._options, self._reached = watched, options, Reached(built)
        self.records: list[LineRecord] = []
        self._known = what_is_known(watched, self._reached)
        self.unwatched = list(self._known.unseen)
        self._steps = Steps(watched.optimizers)
        self._events: list[Event] = []
        self._holdings = Holdings()
        self._values = Values()
        self._readers = Readers(watched, self._known.spent)
        self._shared = Shared()
        self._last_step = 0
        self._overlooked: dict[tuple[str, int], None] = {}
        self._copies = Budget(grace=1, share=0.5)  # for keeping and comparing copies
        self.extent = Extent(options.steps)
        self.ended = self.silent = False

    # What there is before a line, and how long it goes on.

    def measure_anew(self) -> None:
        """What is there now is the state before the next line."""
        self._meter = Meter(self._watched, self._copies)
        self._loose = self._watched.left(MORE)  # made in the call of trace() itself
        self._state = self._meter.state
        self._reached.begin(self._meter)
        self._events = []

    def forget(self) -> None:
        """Keep nothing of the script's alive; if it is the end, not even what was watched."""
        self.extent.idle = 0
        self._holdings.clear()
        self._values.forget()
        if self._known.forwards is not None:
            self._known.forwards.forget()
        self._reached.forget()
        vars(self).pop("_meter", None)
        if self.ended:
            self._watched.let_go()

    def is_enough(self) -> bool:
        """Whether the line that is over was the last one to be watched for now."""
        self.ended |= self.extent.is_complete
        if (why := self.extent.over(len(self.records))) is not None:
            self._end(why)
        return self.ended or (self._steps.number % self._options.every != 0 and not self.silent)

    def again(self, watched: Watched) -> bool:
        """Watch to the end of one more step; whether these are what was watched, found again.

        They may have other names by now, as in the function that called the one before.
        """
        beside = {number: one.name for number, one in self._known.beside.items()}
        if not self._watched.take_up(watched, {**self._known.names, **beside}):
            return False
        self._last_step = self._steps.number
        self.extent.widen()
        self.ended = False
        return True

    def note_gone(self) -> None:
        """End where the networks or the optimizers are to be freed."""
        if self._watched.left(MORE) - self._loose:
            self._end("the network or the optimizer that was watched is gone")

    def _end(self, words: str) -> None:
        if not self.ended:
            self.give_up(f"the rest: {words}")

    def give_up(self, words: str) -> None:
        """Watch no more, and say why."""
        self.ended = True
        self.note(words)

    def note(self, words: str) -> None:
        """Say what was not looked at, and why."""
        self.unwatched.append(words)

    # A line.

    def count(self, line: Hashable) -> None:
        """A line begins; it may be the first of a new step."""
        self._steps.begin(line)
        if self._steps.number != self._last_step:
            self._last_step = self._steps.number
            self.extent.steps += not self.silent
            self.silent = False

    def begin(self, place: Place) -> None:
        """A line that is watched is about to run."""
        if place.reaches_past():
            self._meter.guard(variables.reached_by(place.current.text, place.frame))
        self._events += self._readers.before(place)

    def heeds(self, call: Call, frame: FrameType) -> bool:
        """Whether a call can mean anything here: most are forwards of layers, of no network."""
        tell, others = call.recogniser, call.past or call.unscaling or call.averaging
        if others or tell is None or self._readers.listens:
            return True
        return is_of_interest(tell, frame, self._known)

    def called(self, call: Call, frame: FrameType) -> None:
        """The line under way calls something that matters, or that may write uncounted."""
        seen: Event | None = None
        recogniser = call.recogniser
        if self._readers.listens:
            self._events += self._readers.called(frame)
        if recogniser is not None and is_of_interest(recogniser, frame, self._known) and is_calm():
            seen = recogniser(local_variables(frame), frame, self._known)
            if seen is not None:
                self._events.append(seen)
        if call.past:
            self._meter.guard(variables.given_to(frame) if call.aimed else None)
        if call.averaging or (seen is not None and seen.kind in CALLED):
            self._meter.doubt_buffers()
        if call.unscaling:
            self._meter.doubt(self._meter.parameters)

    def finish(self, place: Place, *, begun: bool = False) -> None:
        """The line under way is over, or (`begun`) calls what is followed: changes are its own."""
        measured = self._meter.measure()
        self._events += self._readers.after(place, self._events, measured.state, begun=begun)
        changed = any(measured[1:]) or place.sets(self._state, measured.state)
        if changed or any(event.kind not in QUIET for event in self._events):
            self.extent.idle = 0
        if self._meter.overlooked:
            self._meter.overlooked = False
            self._overlook(place)
        values: tuple[Value, ...] = ()
        if not begun and not place.raised and not self.silent:
            values = self._values.of(place, self._meter.parameters, measured.state.requires_grad)
        if not self.silent and (
            changed or self._events or (values and place.shown) or not place.recorded
        ):
            self._record(place, measured, values)
        self._note(bool(measured.changed_parameters))
        place.recorded |= begun
        self._state = measured.state
        self._events = []

    def _overlook(self, place: Place) -> None:
        """Say once of a line that it was not looked at in every way."""
        key = place.source.name, place.current.first
        if key not in self._overlooked:
            self._overlooked[key] = None
            self.note(
                f"{place.where()}writes that torch does not count (through .data, .numpy() and "
                "the like): comparing values had taken more than half of the script's own time"
            )

    def _record(self, place: Place, measured: Measurement, values: tuple[Value, ...]) -> None:
        record = LineRecord(
            index=len(self.records),
            file=place.source.name,
            line=place.current.first,
            source=place.current.text,
            indent=place.current.indent,
            before=self._state,
            after=measured.state,
            changed_gradients=self._shared.of("names", measured.changed_gradients),
            changed_parameters=self._shared.of("names", measured.changed_parameters),
            events=tuple(self._shared.of(event.kind, event) for event in self._events),
            function=place.function,
            depth=place.depth,
            step=self._steps.number,
            values=tuple(self._shared.of(f"value {value.name}", value) for value in values),
            changed_buffers=self._shared.of("buffers", measured.changed_buffers),
            changed_others=self._shared.of("others", measured.changed_others),
            again=place.shown,
            phase=place.phase,
        )
        place.shown = True
        self.records.append(record)

    def _note(self, moved: bool) -> None:
        """What a line did, as far as it tells the steps."""
        for event in self._events:
            if event.kind == "backward":
                self._steps.note_backward()
            elif event.kind == "step" and event.name in self._watched.optimizers:
                self._steps.note(event.name)
        if moved:
            self._steps.note_move()

    def note_raised(self, line: tuple[str, int], error: BaseException) -> None:
        """An exception that ends the trace came through this line."""
        if self.silent:
            return
        for i in reversed(range(len(self.records))):
            if (self.records[i].file, self.records[i].line) == line:
                self.records[i] = replace(self.records[i], raised=words_of(error))
                return

    # An optimizer's step.

    def knows(self, optimizer: Optimizer) -> bool:
        """Whether it is one of those that are watched."""
        return id(optimizer) in self._known.names

    def stepped(self, optimizer: Optimizer) -> None:
        """A watched optimizer has stepped on a watched line."""
        details = self._holdings.of(optimizer, self._meter.parameters, self._watched.loose)
        if counts_no_writes(optimizer):
            self._meter.doubt(details["held"])
        if not self._steps.number:  # once is enough: it walks all modules' attributes
            named = self._watched
            details["unregistered"] = unregistered(named.networks, named.optimizers.values())
            self._events += misnamed(named.networks.values())
        self._add_step(optimizer, self._known.names[id(optimizer)], details)

    def _add_step(self, optimizer: Optimizer, name: str, details: dict[str, Any]) -> None:
        unheld = self._reached.stepped(optimizer, name, self._watched.optimizers.values())
        kind = {"class": type(optimizer).__name__}
        self._events += [Event("step", name, details | kind), *unheld]

    def other_stepped(self, optimizer: Optimizer) -> None:
        """An optimizer that nobody named has stepped; it may hold what is watched, or held once."""
        if counts_no_writes(optimizer):
            self._meter.doubt(self._meter.parameters)
        name = wrapper_of(optimizer, self._watched.optimizers) or type(optimizer).__name__
        if name == type(optimizer).__name__ and name in self._watched.optimizers:
            name = f"{name} (not watched)"  # one without a name is called so
        holdings = self._holdings.of(optimizer, self._meter.parameters, self._watched.loose)
        self.extent.others += bool(holdings["held"])
        self._add_step(optimizer, name, holdings)

    def note_step(self, optimizer: Optimizer) -> None:
        """A watched optimizer has stepped on a line that was not watched, in a watched step."""
        self._steps.note(self._known.names[id(optimizer)])

    def pass_over(self, optimizer: Optimizer) -> None:
        """It has stepped after the watched steps."""
        name = self._known.names.get(id(optimizer))
        if name is not None:
            self._steps.skip(name)

    def skip(self, optimizer: Optimizer) -> bool:
        """It has stepped between watched steps; whether the next step is to be watched again."""
        name = self._known.names[id(optimizer)]
        if self._steps.is_last_skipped(name, self._options.every):
            self._steps.note(name)
            self._last_step = self._steps.number
            return True
        self._steps.skip(name)
        return False
