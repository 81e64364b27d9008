"""Whether a frame is at a place that its code comes back to: inside a loop."""

from __future__ import annotations

import dis
from types import CodeType

_known: dict[int, tuple[CodeType, list[tuple[int, int]]]] = {}  # the code is kept with its id


def is_in_loop(code: CodeType, offset: int) -> bool:
    """Whether the instruction there stands in a `for` or a `while`.

    Example:
        >>> import sys
        >>> def asked():
        ...     frame = sys._getframe()
        ...     before = is_in_loop(frame.f_code, frame.f_lasti)
        ...     for _ in range(1):
        ...         within = is_in_loop(frame.f_code, frame.f_lasti)
        ...     return before, within
        >>> asked()
        (False, True)
    """
    known = _known.get(id(code))
    if known is None:
        known = _known[id(code)] = code, list(_loops(code))
    return any(first <= offset <= last for first, last in known[1])


def _loops(code: CodeType) -> list[tuple[int, int]]:
    """Where each loop begins, and where it jumps back; not where one waits for a generator."""
    jumps = {*dis.hasjrel, *dis.hasjabs}
    return [
        (one.argval, one.offset)
        for one in dis.get_instructions(code)
        if one.opcode in jumps and "NO_INTERRUPT" not in one.opname and one.argval <= one.offset
    ]
