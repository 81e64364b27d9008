"""The table of a printed trace: in columns where there is room, else what a line did below it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from companion.records.visible import visible
from companion.render.columns import columns, wrapped
from companion.render.paint import Paint, plain

WIDEST = 60  # columns of code; a longer line keeps its place and pushes only its own notes
FARTHEST = 8  # columns of indentation that what a line did takes over from its code
DEEPER = 2  # columns, from a line's code to what it did
FURTHER = 4  # columns, from a line's code to the rest of it, where it is broken
LEAST = 20  # columns of code, on any terminal


class Row(NamedTuple):
    """What stands in the table for a line of code.

    Attributes:
        line: Its number.
        code: Its own lines.
        gradients: What it did to gradients.
        parameters: What it did to parameters.
        also: What else it changed.
        beside: What it bound, and buffers.
        blame: The rules that object to it, each with whether that is certain.
        raised: The exception that ended it.
    """

    line: str = ""
    code: Sequence[str] = ("",)
    gradients: str = ""
    parameters: str = ""
    also: str = ""
    beside: str = ""
    blame: Sequence[tuple[str, bool]] = ()
    raised: str | None = None


def table(
    rows: Sequence[Row], *, runs: bool, width: int | None = None, paint: Paint = plain
) -> list[str]:
    """Head and rows; in columns if they fit into so many, or into any if there is no width."""
    head = "runs  line" if runs else "line"
    wide = _wide(rows, head, plain)
    if width is None or max(map(columns, wide)) <= width:
        return wide if paint is plain else _wide(rows, head, paint)
    digits = max(len(head), *(len(row.line) for row in rows))
    lines = [paint("head", f"{head:>{digits}}  code")]
    return [*lines, *chain.from_iterable(narrow(row, digits, width, paint) for row in rows)]


def _wide(rows: Sequence[Row], head: str, paint: Paint) -> list[str]:
    """All columns aligned."""
    digits = max(len(head), *(len(row.line) for row in rows))
    code = min(WIDEST, max(columns(line) for row in rows for line in row.code))
    middle = max(len("gradients"), *(columns(row.gradients) for row in rows))
    last = max(len("parameters"), *(columns(row.parameters) for row in rows))
    edge = " " * digits
    out = [
        paint("head", f"{head:>{digits}}  {'code':<{code}}  {'gradients':<{middle}}  parameters")
    ]
    for row in rows:
        cells = [("line", f"{row.line:>{digits}}", digits), ("code", row.code[0], code)]
        if row.gradients or row.parameters or row.also:
            cells += [("gradients", row.gradients, middle), ("parameters", row.parameters, last)]
        cells += [("also", words, 0) for words in (row.also, row.beside) if words]
        out.append(_joined(cells, paint))
        out += [f"{edge}  {line}".rstrip() for line in row.code[1:]]
        under = " " * (columns(row.code[0]) - columns(row.code[0].lstrip()))
        out += [f"{edge}  {under}{rule_in_words(one, paint)}" for one in row.blame]
        if row.raised:
            out.append(f"{edge}  {paint('raised', _raised(row.raised))}")
    return out


def _joined(cells: Sequence[tuple[str, str, int]], paint: Paint) -> str:
    """Cells of a kind, words and a width, as a line; only the words are painted."""
    line, filling = "", 0
    for kind, words, width in cells:
        shown = words.rstrip()
        if shown:
            line += " " * filling + paint(kind, shown)
            filling = 0
        filling += max(width - columns(shown), 0) + 2
    return line


def narrow(row: Row, digits: int, width: int, paint: Paint = plain) -> Iterator[str]:
    """A row whose words fit into a width: what the line did stands below its code."""
    edge = " " * (digits + 2)
    room = max(width - digits - 2, LEAST)
    first = row.code[0]
    indent = min(len(first) - len(first.lstrip()), room // 2)
    less = len(first) - len(first.lstrip()) - indent  # of code that stands too far in
    number = f"{row.line:>{digits}}"
    for line in row.code:
        own = line[min(less, len(line) - len(line.lstrip())) :]
        for part in wrapped(own, room, deeper=FURTHER):
            yield f"{paint('line', number)}  {part}".rstrip()
            number = " " * digits
    under = edge + " " * (min(indent, FARTHEST) + DEEPER)
    for kind, words in (("gradients", row.gradients), ("parameters", row.parameters)):
        if words:
            yield from _painted(kind, under, f"{kind}: {words}", width, paint)
    for words in filter(None, (row.also, row.beside)):
        yield from _painted("also", under, words, width, paint)
    for one in row.blame:
        yield edge + " " * indent + rule_in_words(one, paint)
    if row.raised:
        yield from _painted("raised", edge, _raised(row.raised), width, paint)


def _painted(kind: str, under: str, words: str, width: int, paint: Paint) -> Iterator[str]:
    for line in wrapped(under + words, width):
        yield under + paint(kind, line[len(under) :])


def rule_in_words(one: tuple[str, bool], paint: Paint) -> str:
    """The line that names a rule below the line to blame."""
    name, certain = one
    return paint("certain" if certain else "possible", f"^ {name}")


def _raised(words: str) -> str:
    return f"raised {visible(textwrap.shorten(words, 100))}"
