"""Where code goes on when an exception was caught: so it is told whether a statement ended well."""

from __future__ import annotations

import dis
import sys
from types import CodeType
from typing import Any

_known: dict[int, tuple[CodeType, frozenset[int]]] = {}  # the code is kept: its id stays its own


def handlers(code: CodeType) -> frozenset[int]:
    """The offsets at which a line begins because an exception was caught.

    Example:
        >>> def f():
        ...     try:
        ...         g()
        ...     except ValueError:
        ...         pass
        >>> first = f.__code__.co_firstlineno
        >>> starts = dict(dis.findlinestarts(f.__code__))
        >>> {starts[i] - first for i in handlers(f.__code__) if starts.get(i)}
        {3}
    """
    known = _known.get(id(code))
    if known is None:
        known = _known[id(code)] = code, frozenset(_first_lines(code))
    return known[1]


def _first_lines(code: CodeType) -> set[int]:
    if sys.version_info < (3, 11):
        jumps = ("SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH")
        return {one.argval for one in dis.get_instructions(code) if one.opname in jumps}
    entries: Any = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined,unused-ignore]
    # What handles an exception is itself looked after, for it may raise another: that is its end.
    ends = {entry.start: entry.end for entry in entries}
    found = {one.offset for one in dis.get_instructions(code) if one.opname == "PUSH_EXC_INFO"}
    for target in found & ends.keys():
        lines = (
            max(start, target)
            for start, end, line in code.co_lines()
            if line is not None and end > target
        )
        first = next(lines, ends[target])
        if first < ends[target]:
            found.add(first)
    return found
