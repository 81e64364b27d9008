"""Whose loss a library's backward begins at: the line of the user's that made it."""

from __future__ import annotations

from collections.abc import Sequence

from companion.records.line import LineRecord


def maker(records: Sequence[LineRecord], record: LineRecord) -> LineRecord:
    """The line to blame for a loss: the user's own, where a library calls backward for him.

    It is the last one before it, in the same step, that bound a number with a graph; or the record
    itself.
    """
    if record.phase is None or all(event.kind != "backward" for event in record.events):
        return record
    for earlier in reversed(records[: record.index]):
        if earlier.step != record.step:
            break
        if earlier.phase is None and any(v.graph and v.number is not None for v in earlier.values):
            return earlier
    return record
