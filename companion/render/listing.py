"""The code beside a trace: the lines of each record, indented as in the file or as they ran."""

from __future__ import annotations

from collections.abc import Sequence

from companion._visible import visible
from companion.records import LineRecord

WIDEST = 100  # columns of indentation; code that stands further in is shown there


def listing(records: Sequence[LineRecord]) -> list[list[str]]:
    """The lines of each record's statement, indented as in the file, less what all share.

    The lines of a function that is followed stand further in than the line that called it.
    """
    shared = margins(records)
    columns: dict[int, int] = {}  # depth → where the last line of that depth stands
    listed = []
    for record in records:
        own = record.indent - shared[record.file, record.function]
        columns[record.depth] = columns.get(record.depth - 1, -4) + 4 + own
        listed.append(code(record, columns[record.depth]))
    return listed


def margins(records: Sequence[LineRecord]) -> dict[tuple[str, str], int]:
    """The indentation that all lines of a function share."""
    least: dict[tuple[str, str], int] = {}
    for record in records:
        key = (record.file, record.function)
        least[key] = min(least.get(key, record.indent), record.indent)
    return least


def code(record: LineRecord, column: int) -> list[str]:
    """The lines of a record's statement, from a column on."""
    lines = record.source.splitlines() or [f"(line {record.line}, source not known)"]
    return [" " * min(column, WIDEST) + visible(line) for line in lines]
