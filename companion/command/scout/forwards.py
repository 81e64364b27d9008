"""Whether a function runs for a network's forward, or only by way of its call.

Lightning sends `training_step` through the call of `DistributedDataParallel`, which prepares its
averaging there: for that one call the module's `forward` is a function of Lightning's, set on the
object.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from types import CodeType, FrameType, FunctionType

from torch import nn

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import attributes, own_of, types_of

CALL = inspect.unwrap(nn.Module.__call__).__code__


def is_in_forward(frame: FrameType, outermost: FrameType | None = None) -> bool:
    """Whether a frame runs inside a network's forward; of those below `outermost`, if there is one.

    A call that only hands on is none, nor is that of a module around it.
    """
    inside: list[FrameType] = []  # what runs since the call before, innermost first
    handing: object = None  # the module whose call only hands on
    outer = frame.f_back
    while outer is not None and outer is not outermost:
        if outer.f_code is CALL:
            owner = outer.f_locals.get("self")
            if not (_hands_on(owner, inside) or _holds(owner, handing)):
                return True
            handing, inside = owner, []
        elif outer.f_code.co_filename != CALL.co_filename:
            inside.append(outer)
        outer = outer.f_back
    return False


def _hands_on(module: object, inside: Sequence[FrameType]) -> bool:
    """Whether a module's call runs a library's function, and not its class's `forward`."""
    if not inside or "forward" not in attributes(module):
        return False
    kinds = (kind for kind in types_of(type(module)) if "forward" in own_of(kind))
    own = list(_codes(own_of(next(kinds, object)).get("forward")))
    is_theirs = is_in_library(inside[-1].f_code.co_filename)
    return is_theirs and not any(one.f_code in own for one in inside)


def _codes(function: object) -> Iterator[CodeType]:
    """The code of a function, and of those that it is wrapped around."""
    for _ in range(8):
        if type(function) is not FunctionType:
            return
        yield function.__code__
        function = attributes(function).get("__wrapped__")


def _holds(module: object, inner: object) -> bool:
    """Whether a module holds that one: what it is called with, it hands to it."""
    held = attributes(module).get("_modules")
    return inner is not None and type(held) is dict and any(one is inner for one in held.values())
