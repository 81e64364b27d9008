"""A number of times, in words."""

from __future__ import annotations


def times(number: int) -> str:
    """How often, in words.

    Example:
        >>> [times(number) for number in (1, 2, 3)]
        ['once', 'twice', '3 times']
    """
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
