"""What a running frame's variables hold, read without disturbing it."""

from __future__ import annotations

import ctypes
import dis
import sys
from collections.abc import Mapping
from inspect import CO_OPTIMIZED
from types import CodeType, FrameType
from typing import Any

from torch import Tensor, nn

from companion.isolation.objects import attributes, is_a

# There a comprehension shares its module's frame, and whoever reads `f_locals` while it runs makes
# CPython write None into its variable ("assigning None to unbound local").
_SHARED = (3, 12) <= sys.version_info < (3, 13)
# Until Python 3.13 a function's `f_locals` is one dict for all who read it: it keeps alive what it
# holds, and after the next event of a trace function it is written back into the variables.
_ONE_DICT = sys.version_info < (3, 13)
_READERS = {"locals", "vars", "f_locals"}
# Python 3.10 writes back at every event, whether or not it was read.
_write_back = getattr(ctypes.pythonapi, "PyFrame_LocalsToFast", None)
if not (3, 11) <= sys.version_info < (3, 13) or sys.implementation.name != "cpython":
    _write_back = None
if _write_back is not None:
    _write_back.argtypes, _write_back.restype = (ctypes.py_object, ctypes.c_int), None

UNKNOWN: Any = object()  # what a variable holds where only running code could tell


def is_readable(code: CodeType) -> bool:
    """Whether reading the variables of its frames disturbs nothing that this code could see.

    Example:
        >>> def logs():
        ...     settings = locals()
        >>> def tells(arguments):
        ...     return vars(arguments)
        >>> is_readable(logs.__code__), is_readable(tells.__code__)  # doctest: +ELLIPSIS
        (..., True)
    """
    if not _ONE_DICT or not code.co_flags & CO_OPTIMIZED or _READERS.isdisjoint(code.co_names):
        return True
    known = _known.get(id(code))
    if known is None:
        known = _known[id(code)] = code, not _reads_itself(code)
    return known[1]


_known: dict[int, tuple[CodeType, bool]] = {}  # the code is kept, so that its id stays its own


def _reads_itself(code: CodeType) -> bool:
    """Whether code keeps its frame's dict of variables: `locals()`, `vars()`, `f_locals`."""
    steps = [one for one in dis.get_instructions(code) if one.opname not in ("PRECALL", "CACHE")]
    for step, after in zip(steps, [*steps[1:], steps[-1]], strict=True):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            calls = after.opname.startswith("CALL") and after.arg == 0
            if step.argval == "locals" or (step.argval == "vars" and calls):
                return True
        elif step.argval == "f_locals":
            return True
    return False


def local_variables(frame: FrameType) -> Mapping[str, Any]:
    """A frame's local variables by name; of a module these are its globals.

    Empty where reading would disturb the frame, or the variables stand in an object of the user's.
    """
    code = frame.f_code
    if not code.co_flags & CO_OPTIMIZED:  # a module, a class, an `exec`: any mapping may serve
        found: Any = frame.f_globals if _SHARED and code.co_name == "<module>" else frame.f_locals
        return found if type(found) is dict else {}
    if not is_readable(code):
        return {}
    shared: dict[str, Any] = frame.f_locals
    if _write_back is None:
        return shared
    _write_back(frame, 0)  # the same values: nothing is left to be written back at the next event
    copy = dict(shared)
    if sys.getrefcount(shared) == _ALONE:
        shared.clear()  # so that it keeps nothing alive
    return copy


def _count() -> int:
    shared = sys._getframe().f_locals
    return sys.getrefcount(shared)


_ALONE = _count()  # references to such a dict: the frame's, a variable's, a call's


def value_of(dotted: str, frame: FrameType, local: Mapping[str, Any] | None = None) -> Any:
    """What a variable of a running frame holds; UNKNOWN where only running code could tell.

    Args:
        dotted: The variable, and attributes of it.
        frame: The frame.
        local: Its local variables, if they have been read already.
    """
    first, *rest = dotted.split(".")
    value = (local_variables(frame) if local is None else local).get(first, UNKNOWN)
    if value is UNKNOWN:
        value = dict.get(frame.f_globals, first, UNKNOWN)
    for name in rest:
        value = _attribute(value, name)
    return value


def _attribute(value: object, name: str) -> Any:
    if is_a(value, Tensor):
        kept = name == "grad" and (value.is_leaf or value.retains_grad)
        return value.grad if kept else UNKNOWN
    held = attributes(value)
    found = held.get(name, UNKNOWN)
    if found is UNKNOWN and is_a(value, nn.Module):
        places = (held.get(place) for place in ("_parameters", "_modules", "_buffers"))
        found = next((p[name] for p in places if type(p) is dict and name in p), UNKNOWN)
    return found
