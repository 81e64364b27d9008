"""The table of a loop that a library runs: in columns, or folded where there is no room for them.

Its rows are the library's parts, and lines of the user's own, which stand across two columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from companion.render.columns import columns, wrapped
from companion.render.paint import Paint, plain
from companion.render.table import DEEPER, FURTHER, LEAST, rule_in_words

WIDEST = 60  # columns of what stands before what a line changed; a longer line pushes its own
EDGE = " " * 6  # below "runs"


class Part(NamedTuple):
    """What stands in the table for a part of the library's, or for a line of the user's.

    Attributes:
        runs: How often it ran.
        where: Whose part it is; or the line, with its number.
        what: What the part is; None for a line of the user's own.
        changed: What it changed and bound: of what kind that is, and the words.
        blame: The rules that object to it, each with whether that is certain.
    """

    runs: str
    where: str
    what: str | None
    changed: Sequence[tuple[str, str]] = ()
    blame: Sequence[tuple[str, bool]] = ()


def parts_table(rows: Sequence[Part], width: int | None, paint: Paint = plain) -> list[str]:
    """Head and rows; in columns if they fit into so many, or into any if there is no width."""
    wide = [*_wide(rows, plain)]
    if width is None or max(map(columns, wide)) <= width:
        return wide if paint is plain else [*_wide(rows, paint)]
    head = paint("head", "runs  where  what")
    return [head, *chain.from_iterable(folded_part(row, width, paint) for row in rows)]


def _wide(rows: Sequence[Part], paint: Paint) -> Iterator[str]:
    """All columns aligned."""
    where = max(len("where"), *(columns(row.where) for row in rows if row.what is not None))
    what = max(len("what"), *(columns(row.what) for row in rows if row.what is not None))
    own = max((columns(row.where) for row in rows if row.what is None), default=0)
    what = max(what, min(own, WIDEST) - where - 2)
    yield paint("head", f"runs  {'where':<{where}}  {'what':<{what}}  changed")
    for row in rows:
        place = row.where
        if row.what is not None:
            place = f"{_padded(place, where)}  {row.what}"
        changed = "; ".join(paint(kind, words) for kind, words in row.changed)
        runs = paint("line", f"{row.runs:>4}")
        yield f"{runs}  {_padded(place, where + what + 2)}  {changed}".rstrip()
        yield from (EDGE + rule_in_words(one, paint) for one in row.blame)


def _padded(words: str, width: int) -> str:
    return words + " " * (width - columns(words))


def folded_part(row: Part, width: int, paint: Paint = plain) -> Iterator[str]:
    """A row whose words fit into a width: what it changed stands below it."""
    place = row.where if row.what is None else f"{row.where}  {row.what}"
    first, *further = wrapped(EDGE + place, max(width, len(EDGE) + LEAST), deeper=FURTHER)
    runs = f"{row.runs:>4}"
    yield f"{paint('line', runs)}  {first[len(EDGE) :]}".rstrip()
    yield from further
    under = EDGE + " " * DEEPER
    for kind, several in row.changed:
        for words in several.split("; "):
            for line in wrapped(under + words, width):
                yield under + paint(kind, line[len(under) :])
    yield from (EDGE + rule_in_words(one, paint) for one in row.blame)
