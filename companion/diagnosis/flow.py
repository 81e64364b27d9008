"""Where a value came from: from the line that reads it back to those that bound what it reads.

Told by the names in the text, within one function; where the text does not tell, the way ends.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from companion.records.flow import reads
from companion.records.line import LineRecord
from companion.records.syntax import bound
from companion.records.value import Value

Bound = tuple[LineRecord, Value | None]
_ASKS_NOTHING = re.compile(
    r"for |while |try:|if __name__|with (torch\.)?(no_grad|inference_mode)\(\):"
)
_MOST = 200  # lines that are gone back through


class Flow:
    """The lines that bound each variable, in order."""

    def __init__(self, records: Sequence[LineRecord]) -> None:
        self._records = records
        self._bound: dict[tuple[str, str, int, str], list[int]] = {}
        self._outside: dict[tuple[str, str], Value] = {}
        self._callers: list[int | None] = []  # by a record's index, that of the line that called
        above: list[int] = []  # by depth, the last line there
        for record in records:
            del above[record.depth :]
            self._callers.append(above[-1] if above else None)
            above += [record.index] * (record.depth + 1 - len(above))
            if not record.raised:
                names = dict.fromkeys([v.name for v in record.values])
                names.update((name, None) for name, _ in bound(record.source))
                for name in names:
                    self._bound.setdefault((*_scope(record), name), []).append(record.index)
            for event in record.events:
                if event.kind == "not finite":
                    count, shape = event.details["nonfinite"], event.details["shape"]
                    value = Value(event.name, "", shape, None, count)
                    self._outside.setdefault((record.file, event.name), value)

    def last(self, name: str, record: LineRecord) -> Bound | None:
        """The line before this one that bound the variable, and what to."""
        indices = self._bound.get((*_scope(record), name), [])
        i = bisect_left(indices, record.index)
        if not i:
            return None
        found = self._records[indices[i - 1]]
        return found, next((v for v in found.values if v.name == name), None)

    def inputs(self, record: LineRecord) -> Iterator[Bound]:
        """What a line read: the lines that bound it, and what to.

        Where it called a function whose lines were watched, what that returned as well.
        """
        caller = self._caller(record)
        for name in reads(record.source):
            found = self.last(name, record)
            if found is not None:
                yield found
            elif (record.file, name) in self._outside:  # bound before the watching began
                yield record, self._outside[record.file, name]
            elif caller is not None and name in reads(caller.source):  # handed in by that name
                found = self.last(name, caller)
                if found is not None:
                    yield found
        for inner in self._returned_to(record):
            yield inner, None
            yield from self.inputs(inner)

    def _returned_to(self, record: LineRecord) -> Iterator[LineRecord]:
        """Where the functions returned that a line called: the last one.

        A library may have called several before a part of a line, and nothing tells which of them
        gave what: those since its backward before. A `return` is recorded when it calls, before
        what it calls.
        """
        if record.source.startswith("return "):
            yield from self._called_next(record)
        for i in reversed(range(record.index)):
            inner = self._records[i]
            if inner.depth < record.depth or (inner.depth == record.depth and _ends(inner, record)):
                return
            if inner.depth == record.depth + 1 and inner.source.startswith("return "):
                yield inner
                if record.phase is None:
                    return

    def _caller(self, record: LineRecord) -> LineRecord | None:
        """The line that called the function that this line stands in."""
        index = self._callers[record.index]
        return None if index is None else self._records[index]

    def is_always_off(self, record: LineRecord) -> bool:
        """Whether nothing around a line that runs without gradients asks whether it is to do so.

        A warm-up may: by an `if`, or by a context that is another one later.
        """
        line: LineRecord | None = record
        while line is not None:
            indent, function = line.indent, _scope(line)
            for above in reversed(self._records[: line.index]):
                if _scope(above) == function and above.indent < indent:
                    indent = above.indent
                    if not _ASKS_NOTHING.match(above.source):
                        return False
            line = self._caller(line)
        return True

    def ancestors(self, record: LineRecord) -> list[tuple[LineRecord, LineRecord, Value | None]]:
        """All that a line's values come from, nearest first: reader, line that bound, value."""
        found = []
        todo, seen = [record], {record.index}
        for reader in todo:
            for line, value in self.inputs(reader):
                found.append((reader, line, value))
                if line.index not in seen and len(todo) < _MOST:
                    seen.add(line.index)
                    todo.append(line)
        return found

    def _called_next(self, record: LineRecord) -> Iterator[LineRecord]:
        """Where a function returned whose lines follow on the one that called it."""
        found = None
        for i in range(record.index + 1, len(self._records)):
            inner = self._records[i]
            if inner.depth <= record.depth:
                break
            if inner.depth == record.depth + 1 and inner.source.startswith("return "):
                found = inner
        if found is not None:
            yield found


def _ends(earlier: LineRecord, record: LineRecord) -> bool:
    """Whether what was returned before an earlier record is none of this one's."""
    if record.phase is None or earlier.place != record.place:
        return True
    return any(event.kind == "backward" for event in earlier.events)


def _scope(record: LineRecord) -> tuple[str, str, int]:
    return record.file, record.function, record.depth
