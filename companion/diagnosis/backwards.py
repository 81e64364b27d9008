"""What stands in a gradient: the backward calls that were added since it was last cleared.

From simple to complex: `Backward` (one call), `Use` (what a step used), `Content` (of one
parameter's gradient).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from companion.records.line import LineRecord

Found: TypeAlias = Literal["nothing", "used", "fresh"]


@dataclass(eq=False)
class Backward:
    """The backward calls of one executed line, and what became of what they wrote.

    Attributes:
        record: The line.
        written: Names of the parameters whose gradients it changed.
        used: By parameter: the optimizers that have stepped with it, as `Use` names them.
        touched: Whether something may have used it that leaves no certain trace.
        read: Whether a line read gradients, measured or rewrote them, before they were cleared.
        clipped: Whether a line clipped them, which did not ask for their norm.
        discarded: Names of the parameters whose gradient was cleared before anything used it.
        discarded_by: The line that cleared the last of them.
    """

    record: LineRecord
    written: set[str] = field(default_factory=set)
    used: dict[str, set[str]] = field(default_factory=dict)
    touched: bool = False
    read: bool = False
    clipped: bool = False
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
        others: Names of the optimizers that had stepped with the foreign call, with the same
            parameters: they share them.
    """

    record: LineRecord
    optimizer: str
    held: tuple[str, ...]
    backwards: tuple[Backward, ...]
    reused: tuple[Backward, Backward] | None
    foreign: tuple[Backward, Backward] | None
    scaled: bool
    cleared: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clip:
    """A call that clips gradients.

    Attributes:
        record: The line.
        names: Names of the parameters that it was given; of all, where that is not known.
        meter: Whether it only measures, for all that is known.
        found: What stood in their gradients: nothing at all, only what steps had used, or more.
    """

    record: LineRecord
    names: frozenset[str]
    meter: bool
    found: Found


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

    def clip(self) -> None:
        """A line clipped the sum, and did no more."""
        for one in self._new("clipped"):
            one.clipped = True

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


def later(
    one: tuple[Backward, Backward] | None, other: tuple[Backward, Backward]
) -> tuple[Backward, Backward]:
    """Of two pairs the one whose newer call is the latest, or else whose older one is."""
    return other if one is None else max(one, other, key=age)


def age(pair: tuple[Backward, Backward]) -> tuple[int, int]:
    """Where an old and a new backward stand in the trace."""
    old, new = pair
    return new.record.index, old.record.index
