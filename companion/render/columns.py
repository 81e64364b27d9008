"""Text by the columns that a terminal gives it: how wide it is, cut, wrapped.

A Chinese, Japanese or Korean character takes two columns, and one that is written over the
character before it takes none.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[ \t]*[^ \t]+")  # with the spaces before it


def columns(text: str) -> int:
    """How many columns a line of text takes.

    Example:
        >>> columns("loss"), columns("손실"), columns("e\u0301")
        (4, 4, 1)
    """
    return len(text) if text.isascii() else sum(map(_width, text))


@lru_cache(4096)
def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0  # the second range: vowels and ends of Korean syllables, written with the first
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> tuple[str, str]:
    """The text's first so many columns, and the rest.

    Example:
        >>> cut("손실 = 2", 5)
        ('손실 ', '= 2')
    """
    if text.isascii():
        return text[:width], text[width:]
    taken = 0
    for at, character in enumerate(text):
        taken += _width(character)
        if taken > width:
            return text[:at], text[at:]
    return text, ""


def wrapped(line: str, width: int | None, *, deeper: int = 0) -> list[str]:
    """A line as several that fit, broken between words; a word that is too long stays whole.

    Args:
        line: The line; its further parts stand as far in as it does, or as far as they can.
        width: How many columns there are; None for any number.
        deeper: How much further in they stand.

    Example:
        >>> wrapped("    so many words", 12, deeper=2)
        ['    so many', '      words']
        >>> wrapped("    x = function(of, much)", 14)
        ['    x =', ' function(of,', '    much)']
    """
    if width is None or columns(line) <= width:
        return [line]
    under = line[: len(line) - len(line.lstrip(" \t"))] + " " * deeper
    lines, now = [], ""
    for word in _WORD.findall(line):
        if now and columns(now) + columns(word) > width:
            lines.append(now)
            alone = word.lstrip(" \t")
            now = under[: max(0, width - columns(alone))] + alone  # less far in, if it fits there
        else:
            now += word
    return [*lines, now]
