"""The ledger: which backward calls stand in each gradient, and which steps have used them.

A gradient is a running sum. The ledger replays a trace's records and keeps, for each parameter,
the backward calls that were added since it was last cleared. What a mistake in the order of the
lines comes down to can then be read off: a backward that was added to what a step had used
already, or one that was cleared before any step used it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from companion.records import Event, LineRecord
from companion.syntax import read_grads


@dataclass(eq=False)
class Backward:
    """The backward calls of one executed line, and what became of what they wrote.

    Attributes:
        record: The line.
        written: Names of the parameters whose gradients it changed.
        used: By parameter: the optimizers that have stepped with it, as `Use` names them.
        touched: Whether something may have used it that leaves no certain trace.
        read: Whether a line read gradients, measured or rewrote them, before they were cleared.
        discarded: Names of the parameters whose gradient was cleared before anything used it.
        discarded_by: The line that cleared the last of them.
    """

    record: LineRecord
    written: set[str] = field(default_factory=set)
    used: dict[str, set[str]] = field(default_factory=dict)
    touched: bool = False
    read: bool = False
    discarded: set[str] = field(default_factory=set)
    discarded_by: LineRecord | None = None

    @property
    def wasted(self) -> bool:
        """Whether all that it wrote was cleared, and nothing had used any of it."""
        return not self.used and not self.touched and self.written <= self.discarded


@dataclass(frozen=True)
class Use:
    """A step, an optimizer's or a line of the reader's own: what its gradients were made of.

    Attributes:
        record: The line.
        optimizer: Its name; "" for the reader's own line.
        held: Names of the watched parameters that it holds, or moved.
        backwards: Backward calls in any of their gradients, oldest first.
        reused: The latest backward call that this optimizer had used before, with the latest that
            was added on top of it; None where there is none.
        foreign: The same of a call that another optimizer had used before a later one, from
            another line, was added on top.
        scaled: Whether a line without a backward changed the gradients since.
        cleared: Index of the last record in which this optimizer cleared; -1 for none.
    """

    record: LineRecord
    optimizer: str
    held: tuple[str, ...]
    backwards: tuple[Backward, ...]
    reused: tuple[Backward, Backward] | None
    foreign: tuple[Backward, Backward] | None
    scaled: bool
    cleared: int


class Content:
    """What stands in one parameter's gradient: the backward calls since it was last cleared.

    A loop that never clears adds to it at every step. So nothing here looks at all of them again:
    what happens to a gradient happens to every call in it, and is noted for the new ones only.

    Attributes:
        backwards: The calls, oldest first.
        signature: The same for two parameters with the same calls.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.backwards: list[Backward] = []
        self.signature = 0
        self._noted: dict[str, int] = {}  # what happened: to how many of them, from the oldest on
        self._unused: list[Backward] = []  # by any optimizer, when they were last looked at
        # The latest of each kind: calls with the same line and the same users are alike.
        self._used: dict[tuple[object, frozenset[str] | None], Backward] = {}
        self._on_top: dict[object, tuple[Backward, Backward]] = {}

    def add(self, backward: Backward) -> None:
        """One more is added to the sum."""
        self._sort()
        for (place, users), old in self._used.items():
            self._on_top[place, users, backward.record.place] = (old, backward)
        self.backwards.append(backward)
        self._unused.append(backward)
        self.signature = hash((self.signature, id(backward)))

    def _sort(self) -> None:
        unused = []
        for one in self._unused:
            if one.used:
                users = frozenset(one.used[self.name]) if self.name in one.used else None
                self._used[one.record.place, users] = one
            else:
                unused.append(one)
        self._unused = unused

    def use(self, optimizer: str) -> None:
        """That optimizer has stepped with the sum."""
        for one in self._new(f"used by {optimizer}"):
            one.used.setdefault(self.name, set()).add(optimizer)
        self._used = {
            (place, (users or frozenset()) | {optimizer}): old
            for (place, users), old in self._used.items()
        }

    def touch(self) -> None:
        """Something may have used the sum that leaves no certain trace."""
        for one in self._new("touched"):
            one.touched = True

    def read(self) -> None:
        """A line measured or rewrote the sum."""
        for one in self._new("read"):
            one.read = True

    def _new(self, what: str) -> list[Backward]:
        """Those to which this has not happened yet."""
        first = self._noted.get(what, 0)
        self._noted[what] = len(self.backwards)
        return self.backwards[first:]

    @property
    def is_used(self) -> bool:
        """Whether optimizers have stepped with all of it."""
        kinds = [*self._unused, *self._used.values()]
        return bool(kinds) and all(self.name in one.used for one in kinds)

    def pairs(self) -> Iterable[tuple[Backward, Backward]]:
        """Calls that were used, each with one that was added on top: the latest of each kind."""
        return self._on_top.values()


def _later(
    one: tuple[Backward, Backward] | None, other: tuple[Backward, Backward]
) -> tuple[Backward, Backward]:
    """Of two pairs the one whose newer call is the latest, or else whose older one is."""
    return other if one is None else max(one, other, key=_age)


def _age(pair: tuple[Backward, Backward]) -> tuple[int, int]:
    old, new = pair
    return new.record.index, old.record.index


@dataclass
class Ledger:
    """The whole trace, replayed.

    Attributes:
        records: The trace's records.
        backwards: Every line with a backward call that changed a gradient, in order.
        uses: Every step, in order.
        late_clips: Lines that clipped gradients which every step that uses them had used already.
    """

    records: Sequence[LineRecord]
    backwards: list[Backward] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    late_clips: list[LineRecord] = field(default_factory=list)

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
        if "clip" in kinds or ("backward" not in kinds and read_grads(record.source)):
            for content in self._content.values():
                content.read()
        backward = Backward(record) if "backward" in kinds else None
        clears = backward is not None and "clear" in kinds[: kinds.index("backward")]
        for event in record.events:
            if event.kind == "clear":
                self._cleared[event.name] = record.index
        if "clip" in kinds and self._is_late(record):
            self.late_clips.append(record)
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
            elif record.before.gradients.get(name) is None or self._is_used(name):
                self._clear(name, record)  # the reader's own `p.grad = ...`
                self._put(name, Backward(record, {name}, touched=True))
            else:
                self._scaled.add(name)
                if name in self._content:
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
        seen: set[int] = set()
        contents = [self._content[name] for name in held if name in self._content]
        for content in contents:
            for old, new in content.pairs():
                if optimizer in old.used.get(content.name, ()):
                    reused = _later(reused, (old, new))
                elif old.record.place != new.record.place and content.name not in old.used:
                    foreign = _later(foreign, (old, new))
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
                foreign,
                scaled=not self._scaled.isdisjoint(held),
                cleared=self._cleared.get(optimizer, -1),
            )
        )
