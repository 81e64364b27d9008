"""A dropout that is on while the network around it is in eval mode.

Two mistakes look so: a call of `F.dropout` that leaves out `training=`, whose default is True, and
a layer that eval() does not reach, as it is in no module. Who writes `training=True` means it, and
who wakes the dropout layers of a network in eval mode means it as well.
"""

from __future__ import annotations

import dis
import inspect
import os
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any

from torch import nn

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import is_a
from companion.records.line import Event
from companion.tracing.code.frames import local_variables
from companion.tracing.measure.modules import is_training, named_modules

# Their `training` is True where it is left out.
FUNCTIONS = tuple(
    getattr(nn.functional, name) for name in ("dropout", "dropout1d", "dropout2d", "dropout3d")
)
_THIRD = 2  # the place of `training` among what they are called with
_CALL = inspect.unwrap(nn.Module.__call__).__code__
_LAYERS = tuple(kind.forward.__code__ for kind in nn.modules.dropout._DropoutNd.__subclasses__())
DEEPEST = 300  # frames that are looked through


def awake(local: Mapping[str, Any], frame: FrameType) -> Event | None:
    """A dropout begins: an event if it is on, and all that is around it is in eval mode."""
    p: Any = local.get("p")
    caller = frame.f_back
    if local.get("training") is not True or type(p) not in (float, int) or not p > 0:
        return None
    if caller is None:
        return None
    around = list(_around(frame))
    layer = None
    if caller.f_code in _LAYERS:
        layer = around[0] if around else None
        around = around[1:]
        if layer is None or type(layer).__module__ != "torch.nn.modules.dropout":
            return None
        while caller is not None and is_in_library(caller.f_code.co_filename):
            caller = caller.f_back
    elif is_in_library(caller.f_code.co_filename) or _gives(caller, "training", _THIRD):
        return None
    if caller is None or not around or any(map(is_training, around)):
        return None
    if layer is None and "dropout" in type(around[0]).__name__.lower():
        return None  # a layer of the user's own that does nothing else
    if layer is not None and any(one is layer for _, one in named_modules(around[-1])):
        return None
    name = frame.f_code.co_name if layer is None else type(layer).__name__
    return Event(
        "dropout",
        name,
        {
            "where": f"line {caller.f_lineno} of {os.path.basename(caller.f_code.co_filename)}",
            "inside": type(around[0]).__name__,
            "layer": layer is not None,
        },
    )


def _around(frame: FrameType | None) -> Iterator[nn.Module]:
    """The modules whose calls are under way, innermost first."""
    for _ in range(DEEPEST):
        if frame is None:
            return
        if frame.f_code is _CALL:
            module = local_variables(frame).get("self")
            if is_a(module, nn.Module):
                yield module
        frame = frame.f_back


_calls: dict[tuple[int, int], tuple[CodeType, bool]] = {}  # the code is kept: its id is its own


def _gives(frame: FrameType, name: str, place: int) -> bool:
    """Whether the call that is under way in a frame surely or perhaps gives an argument."""
    key = id(frame.f_code), frame.f_lasti
    known = _calls.get(key)
    if known is None:
        given = _may_give(frame.f_code, frame.f_lasti, name, place)
        known = _calls[key] = frame.f_code, given
    return known[1]


def _may_give(code: CodeType, offset: int, name: str, place: int) -> bool:
    steps = [one for one in dis.get_instructions(code) if one.opname not in _BETWEEN]
    until = [one for one in steps if one.offset <= offset]  # it may be at a cache of the call's
    call = until[-1] if until else None
    if call is None or call.opname not in _PLAIN or call.arg is None:
        return True  # `f(*args)`, or no call at all
    names: Any = ()
    for one in until[-2:-1]:
        if (one.opname == "KW_NAMES" or call.opname.endswith("_KW")) and one.arg is not None:
            names = code.co_consts[one.arg] if one.opname in _NAMES else None
    if type(names) is not tuple:
        return True
    return name in names or call.arg - len(names) > place


_NAMES = ("KW_NAMES", "LOAD_CONST")
_BETWEEN = ("PRECALL", "CACHE", "EXTENDED_ARG")
# Each counts what the function is called with, by name or place; Python 3.10 has the first three.
_PLAIN = {"CALL_FUNCTION", "CALL_METHOD", "CALL_FUNCTION_KW", "CALL", "CALL_KW"}
