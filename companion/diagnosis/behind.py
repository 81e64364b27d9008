"""The lines that a loss may come from: told by the names in their text, rather too many than few.

`Flow` goes back only where the text tells for sure; here a line is left out only where it does.
"""

from __future__ import annotations

from collections.abc import Sequence

from companion.records.flow import alters, reads
from companion.records.line import LineRecord
from companion.records.syntax import bound


def behind(records: Sequence[LineRecord], last: LineRecord) -> set[int]:
    """The indices of the lines up to the last one, that one too, which its loss may come from.

    Args:
        records: What ran, in order; the first ones may be missing.
        last: The line with the backward.
    """
    walk = _Walk(last)
    for record in reversed(records):
        if record.index < last.index:
            walk.back(record)
    return walk.found


class _Walk:
    """Back from a line, with the names that are needed of what ran before.

    Attributes:
        found: The indices of the lines that bind or alter what is needed, and of their callers.
    """

    def __init__(self, last: LineRecord) -> None:
        self.found: set[int] = set()
        self._needed: dict[tuple[str, str, int], set[str]] = {}
        self._attributes: set[str] = set()  # "self.x" may be bound in another method
        self._calling = last.depth  # the next line above this depth called the last one
        self._returning: dict[int, bool] = {}  # by depth: whether what returns there is needed
        self._open: set[tuple[tuple[str, str, int], int]] = set()  # calls that have ended
        self._take(last)

    def back(self, record: LineRecord) -> None:
        """One line further back."""
        scope = _scope(record)
        for depth in [one for one in self._returning if one > record.depth + 1]:
            del self._returning[depth]
        began = not record.again and (scope, record.line) in self._open
        called = record.depth < self._calling
        if called:
            self._calling = record.depth
        if began or called or self._is_needed(record):
            self._open.discard((scope, record.line))
            if record.again:
                self._open.add((scope, record.line))
            self._take(record)
        elif record.again or not record.source.startswith("return"):
            self._returning[record.depth + 1] = False

    def _is_needed(self, record: LineRecord) -> bool:
        if record.source.startswith("return"):
            return self._returning.get(record.depth, record.depth > 0)
        names = set(_names(record))
        if all(event.kind != "backward" for event in record.events):
            names.update(alters(record.source))
        needed = self._needed.get(_scope(record), set()) | self._attributes
        return not needed.isdisjoint(names)

    def _take(self, record: LineRecord) -> None:
        self.found.add(record.index)
        needed = self._needed.setdefault(_scope(record), set())
        names = set(_names(record))
        needed -= names
        self._attributes -= names
        needed.update(reads(record.source))
        self._attributes.update(name for name in needed if "." in name)
        self._returning[record.depth + 1] = True


def _names(record: LineRecord) -> list[str]:
    """What a line binds."""
    return [*(name for name, _ in bound(record.source)), *(one.name for one in record.values)]


def _scope(record: LineRecord) -> tuple[str, str, int]:
    return record.file, record.function, record.depth
