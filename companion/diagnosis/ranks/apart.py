"""Whether the numbers of two processes are apart by more than they can be by rounding.

What was averaged is the same in each process to the last bit. What is read of it is a sum and a
norm, whose last digits may depend on where a tensor lies in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from companion.diagnosis.ranks.summary import Numbers

NORM = 1e-3  # of the larger norm
SUM = 1e-2  # of the larger norm: rounding grows with the root of the number of entries
SAME = 1e-9  # of the larger norm: sums of the same values, in float64


def is_apart(one: Numbers | None, other: Numbers | None) -> bool:
    """Whether two readings cannot be of the same values.

    Example:
        >>> is_apart((0.5, 2.0), (0.5, 2.0001)), is_apart((0.5, 2.0), (0.5, 2.1))
        (False, True)
    """
    if one is None or other is None:
        return False  # not known, or not there
    scale = max(one[1], other[1])
    return abs(one[1] - other[1]) > NORM * scale or abs(one[0] - other[0]) > SUM * scale


def are_apart(several: Sequence[Numbers | None]) -> bool:
    """Whether any of these is apart from the first.

    Example:
        >>> are_apart([(1.0, 2.0)] * 3), are_apart([(1.0, 2.0), (1.0, 2.0), (0.0, 2.0)])
        (False, True)
    """
    return any(is_apart(several[0], other) for other in several[1:])


def are_same(several: Sequence[Numbers | None]) -> bool:
    """Whether all of these are of the same values, as far as a sum and a norm can tell.

    Example:
        >>> are_same([(1.0, 2.0), (1.0, 2.0)]), are_same([(1.0, 2.0), (1.0, 2.000001)])
        (True, False)
        >>> are_same([(1.0, 2.0), None])
        False
    """
    first = several[0]
    return first is not None and all(
        one is not None and max(abs(one[0] - first[0]), abs(one[1] - first[1])) <= SAME * first[1]
        for one in several
    )
