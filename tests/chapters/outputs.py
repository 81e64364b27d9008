"""How two outputs of a cell are compared: the same text, with numbers that may differ a little.

Another CPU adds up in another order, so the last printed digit of a float is not portable. A float
may differ by one unit of its last printed place, a percentage by one percent. Everything else, all
whole numbers among it, must be the same to the letter. In a figure, what is drawn may be off by
0.05 points or a thousandth; what is written follows the rule above; embedded photographs are not
compared, just as nbval compares no PNG. Matplotlib names clip paths and markers by a hash of where
they are; here they are numbered instead, by first appearance. A finding names its page on the web
where the installed package knows the course's address: that line is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

NUMBER = re.compile(r"(?<![\w.#])[-−+]?\d+(?:\.\d+)?(?:e[+-]?\d+)?%?(?![\w.]*\w)")
ADDRESS = re.compile(r"\n *in the course: https://\S+")
TAG = re.compile(r"<[^<>]*>")
HASHED_ID = re.compile(r"\b[a-z][0-9a-f]{10}\b")
PHOTOGRAPH = re.compile(r"data:image/png;base64,[\w+/=\s]+")


class Output(str):
    """A string that is equal to another output of the same cell. nbval asks only `!=`."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and same_output(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other


def same_output(a: str, b: str) -> bool:
    """Whether two outputs are the same, as described on top of this file."""
    a, b = (ADDRESS.sub("", one) for one in (a, b))
    if "<svg" not in a:
        return _same(a, b, _close_printed)
    a, b = (_number_ids(PHOTOGRAPH.sub("", svg)) for svg in (a, b))
    return (
        TAG.sub("<>", a).count("<>") == TAG.sub("<>", b).count("<>")
        and all(_same(x, y, _close_drawn) for x, y in zip(_tags(a), _tags(b), strict=True))
        and _same(TAG.sub("<>", a), TAG.sub("<>", b), _close_printed)
    )


def _number_ids(svg: str) -> str:
    order = list(dict.fromkeys(HASHED_ID.findall(svg)))
    return HASHED_ID.sub(lambda match: f"id_{order.index(match.group())}", svg)


def _tags(svg: str) -> Iterator[str]:
    return (match.group() for match in TAG.finditer(svg))


def _same(a: str, b: str, close: Callable[[str, str], bool]) -> bool:
    if NUMBER.sub("0", a) != NUMBER.sub("0", b):
        return False
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
    return all(x == y or close(x, y) for x, y in pairs)


def _close_printed(a: str, b: str) -> bool:
    if a.endswith("%") != b.endswith("%"):
        return False
    x, y = _decimal(a), _decimal(b)
    places = [value.as_tuple().exponent for value in (x, y)]
    whole = places == [0, 0] and not a.endswith("%") and "e" not in a + b
    return not whole and abs(x - y) <= max(Decimal(1).scaleb(int(place)) for place in places)


def _close_drawn(a: str, b: str) -> bool:
    x, y = float(_decimal(a)), float(_decimal(b))
    return abs(x - y) <= max(0.05, 1e-3 * max(abs(x), abs(y)))


def _decimal(number: str) -> Decimal:
    return Decimal(number.rstrip("%").replace("−", "-"))
