"""The ledger: which backward calls stand in each gradient, and which steps have used them.

A gradient is a running sum. The ledger replays a trace's records and keeps, for each parameter,
the backward calls that were added since it was last cleared. What a mistake in the order of the
lines comes down to can then be read off: a backward that was added to what a step had used
already, or one that was cleared before any step used it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from companion.diagnosis.backwards import Backward, Clip, Content, Found, Use, later
from companion.diagnosis.flow import Flow
from companion.diagnosis.words import Words
from companion.records.line import Event, LineRecord
from companion.records.syntax import is_call, read_grads, takes_grads


@dataclass
class Ledger:
    """The whole trace, replayed.

    Attributes:
        records: The trace's records.
        backwards: Every line with a backward call that changed a gradient, in order.
        uses: Every step, in order.
        late_clips: Lines that clipped gradients which every step that uses them had used already.
        clips: Every call that clips, in order, but those inside a line that is a whole step.
    """

    records: Sequence[LineRecord]
    backwards: list[Backward] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    late_clips: list[LineRecord] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._content: dict[str, Content] = {}
        self._scaled: set[str] = set()
        self._cleared: dict[str, int] = {}
        self._held: set[str] = set()
        for record in self.records:
            for event in record.events:
                if event.kind == "step":
                    self._held.update(event.details["held"])
        last: LineRecord | None = None
        for record in self.records:
            if last is not None and last.after is not record.before and last.after != record.before:
                self._skip()
            self._replay(record)
            last = record

    @cached_property
    def flow(self) -> Flow:
        """Where values came from."""
        return Flow(self.records)

    @cached_property
    def words(self) -> Words:
        """How the reader writes what takes part."""
        return Words(self.records)

    def of(self, kind: str) -> Iterable[tuple[LineRecord, Event]]:
        """All events of one kind, with the lines they happened on."""
        for record in self.records:
            for event in record.events:
                if event.kind == kind:
                    yield record, event

    def _replay(self, record: LineRecord) -> None:
        kinds = [event.kind for event in record.events]
        if "backward" in kinds and ("step" in kinds or record.changed_parameters):
            self._replay_whole(record)
            return
        reads = read_grads(record.source) or takes_grads(record.source)
        if "clip" in kinds or ("backward" not in kinds and reads):
            bare = "clip" in kinds and is_call(record.source)  # nobody asks for the norm
            for content in self._content.values():
                content.clip() if bare else content.read()
        backward = Backward(record) if "backward" in kinds else None
        clears = backward is not None and "clear" in kinds[: kinds.index("backward")]
        for event in record.events:
            if event.kind == "clear":
                self._cleared[event.name] = record.index
        if "clip" in kinds and self._is_late(record):
            self.late_clips.append(record)
        self._note_clips(record)
        if "step" not in kinds:
            self._touch(record)
        # A step of an optimizer that clears at its end has used what it clears.
        before = kinds[: kinds.index("step")] if "step" in kinds else ["clear"]
        uses_first = backward is None and "clear" not in before
        if uses_first:
            self._use_all(record)
        for name in record.changed_gradients:
            after = record.after.gradients.get(name)
            gone = after is None or (after.norm == 0 and backward is None)
            if gone or clears:
                self._clear(name, record)
            if gone:
                continue
            if backward is not None:
                self._add(name, backward)
            elif record.before.gradients.get(name) is None or (
                self._is_used(name) and "unscale" not in kinds
            ):
                self._clear(name, record)  # the reader's own `p.grad = ...`
                self._put(name, Backward(record, {name}, touched=True))
            else:
                clips = "clip" in kinds and "clip" in record.source
                if not clips and "unscale" not in kinds:  # that is none of the reader's own
                    self._scaled.add(name)
                if name in self._content and "clip" not in kinds:
                    self._content[name].read()
        if backward is not None and backward.written:
            self.backwards.append(backward)
        if not uses_first:
            self._use_all(record)

    def _replay_whole(self, record: LineRecord) -> None:
        """A line that is a whole step, or several; what it did in which order nobody saw."""
        names = dict.fromkeys([*record.before.gradients, *record.after.gradients])
        for name in names:
            self._content.pop(name, None)
            self._scaled.discard(name)
            if record.after.gradients.get(name) is not None:
                one = Backward(record, {name}, touched=True)
                self._put(name, one)
                one.used[name] = set()  # by nobody in particular
                for event in record.events:
                    if event.kind == "step":
                        self._content[name].use(event.name)

    def _use_all(self, record: LineRecord) -> None:
        for event in record.events:
            if event.kind == "step":
                self._use(record, event.name, event.details["held"])
            elif event.kind == "scaler step":  # it may skip the step, for an infinite gradient
                for content in self._content.values():
                    content.touch()

    def _skip(self) -> None:
        """Between two records there were lines that nobody watched; they may have done anything."""
        for content in self._content.values():
            content.touch()

    def _touch(self, record: LineRecord) -> None:
        """The reader's own line moves parameters: it may have used their gradients.

        Of parameters that no optimizer holds, it is the step.
        """
        moved = [name for name in record.changed_parameters if name in self._content]
        for name in moved:
            self._content[name].touch()
        own = tuple(name for name in moved if name not in self._held)
        if own:
            self._use(record, "", own)

    def _is_used(self, name: str) -> bool:
        return name in self._content and self._content[name].is_used

    def _put(self, name: str, backward: Backward) -> None:
        """The sum consists of this one alone."""
        self._content[name] = Content(name)
        self._content[name].add(backward)

    def _is_late(self, record: LineRecord) -> bool:
        changed = [n for n in record.changed_gradients if record.after.gradients.get(n) is not None]
        return bool(changed) and all(self._is_used(name) for name in changed)

    def _note_clips(self, record: LineRecord) -> None:
        for event in record.events:
            if event.kind in ("backward", "step", "clear"):
                return  # on the same line: what it found is not what stood there before the line
            if event.kind == "clip":
                gradients = record.before.gradients
                names = frozenset(event.details.get("given", gradients))
                there = [
                    name
                    for name in names
                    if (reading := gradients.get(name)) is not None
                    and (reading.norm or name in self._content)
                ]
                used = all(map(self._is_used, there))
                meter = event.details.get("meter", True)
                found: Found = "nothing" if not there else "used" if used else "fresh"
                self.clips.append(Clip(record, names, meter, found))

    def _clear(self, name: str, record: LineRecord) -> None:
        content = self._content.pop(name, None)
        before = record.before.gradients.get(name)
        for one in content.backwards if content else ():
            if before is not None and before.nonfinite:
                one.touched = True  # a batch skipped on purpose
            if name not in one.used:
                one.discarded.add(name)
                one.discarded_by = record
        self._scaled.discard(name)

    def _add(self, name: str, backward: Backward) -> None:
        backward.written.add(name)
        before = backward.record.before.gradients.get(name)
        if name not in self._content or before is None or before.norm == 0:
            self._put(name, backward)  # cleared, if not on a watched line
        else:
            self._content[name].add(backward)

    def _use(self, record: LineRecord, optimizer: str, held: tuple[str, ...]) -> None:
        backwards: dict[Backward, None] = {}
        reused: tuple[Backward, Backward] | None = None
        foreign: tuple[Backward, Backward] | None = None
        shared: tuple[Backward, Backward] | None = None
        others: dict[str, None] = {}
        seen: set[int] = set()
        contents = [self._content[name] for name in held if name in self._content]
        for content in contents:
            for old, new in content.pairs():
                if optimizer in old.used.get(content.name, ()):
                    reused = later(reused, (old, new))
                elif old.record.place != new.record.place:
                    users = old.used.get(content.name)
                    if users is None:
                        foreign = later(foreign, (old, new))
                    elif users and not old.touched:
                        shared = later(shared, (old, new))
                        others.update(dict.fromkeys(users))
            if content.signature not in seen:
                seen.add(content.signature)
                backwards.update(dict.fromkeys(content.backwards))
            content.use(optimizer)
        self.uses.append(
            Use(
                record,
                optimizer,
                held,
                tuple(backwards),
                reused,
                foreign or shared,
                scaled=not self._scaled.isdisjoint(held),
                cleared=self._cleared.get(optimizer, -1),
                others=() if foreign else tuple(others),
            )
        )
