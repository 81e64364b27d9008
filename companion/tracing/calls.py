"""What a call of some code means to a trace; asked once for each code."""

from __future__ import annotations

import dis
import os
import sysconfig
from collections.abc import Callable
from inspect import CO_OPTIMIZED
from types import CodeType, FrameType
from typing import NamedTuple

import torch

from companion.isolation.libraries import is_in_library
from companion.tracing.code.foreign import is_foreign
from companion.tracing.code.uncounted import moves_statistics, reaches_past, unscales
from companion.tracing.events.recognise import Recogniser, part_of, recogniser_of

_BACKWARD = torch.autograd.backward.__code__


class Call(NamedTuple):
    """What a call of some code means to a trace.

    Attributes:
        recogniser: What tells the event.
        past: It may write uncounted.
        aimed: If so, then only into what it is called with: a library knows no network but
            those that it is given.
        unscaling: It divides all gradients, and counts no write.
        averaging: It may move running statistics, and counts no write.
        wakes: It is where training begins again.
        follows: Its lines are watched.
        part: Which part of a training step it begins, where a library runs the loop; or "".
    """

    recogniser: Recogniser | None = None
    past: bool = False
    aimed: bool = False
    unscaling: bool = False
    averaging: bool = False
    wakes: bool = False
    follows: bool = False
    part: str = ""

    @property
    def matters(self) -> bool:
        """Whether a recorder wants to be told of it."""
        return bool(self.recogniser or self.past or self.unscaling or self.averaging or self.part)


PLAIN = Call()

# Code that has a `.data` of its own and no tensor: Python's, and what torch compiles with.
_OTHER_DATA = (
    sysconfig.get_paths()["stdlib"] + os.sep,
    *(
        os.path.join(os.path.dirname(torch.__file__), *path)
        for path in (
            ("utils", "weak.py"),
            ("_dynamo", ""),
            ("_inductor", ""),
            ("_subclasses", ""),
            ("fx", ""),
        )
    ),
)


def _has_other_data(filename: str) -> bool:
    stdlib, *torchs = _OTHER_DATA
    if filename.startswith(stdlib):
        return "-packages" not in filename or filename.startswith(tuple(torchs))
    return filename.startswith(tuple(torchs))


def is_called(frame: FrameType) -> bool:
    """Whether a function was called by the code above it, not by the end of some object.

    A weak reference's callback and a `__del__` run while the last reference is dropped: in
    `p.grad = None` p still has the gradient then, and to ask for it would damage the memory.

    Example:
        >>> import sys
        >>> class Falling:
        ...     def __del__(self):
        ...         print(is_called(sys._getframe()))
        >>> falling = Falling()
        >>> falling = None
        False
    """
    caller = frame.f_back
    if caller is None:
        return True
    code = caller.f_code
    known = _codes.get(id(code))
    if known is None:
        known = _codes[id(code)] = code, code.co_code
    return caller.f_lasti < 0 or known[1][caller.f_lasti] not in _DROPPING


_DROPPING = {
    number
    for number, name in enumerate(dis.opname)
    if name.startswith(("STORE_", "DELETE_", "POP_", "RETURN_", "END_"))
}
_codes: dict[int, tuple[CodeType, bytes]] = {}  # the code is kept, so that its id stays its own


def meaning_of(code: CodeType, follows: Callable[[CodeType], bool]) -> Call:
    """What a call of this code means; `PLAIN` itself where it means nothing."""
    past = not _has_other_data(code.co_filename) and bool(reaches_past(code))
    # A class's body is no function: its variables stand in whatever its metaclass likes.
    is_body = not code.co_flags & CO_OPTIMIZED and code.co_name != "<module>"
    call = Call(
        recogniser_of(code),
        past,
        past and is_in_library(code.co_filename) and not code.co_freevars,
        unscales(code),
        moves_statistics(code),
        code is _BACKWARD,
        not is_body and follows(code),
        _begins_part(code),
    )
    return PLAIN if call == PLAIN else call


def _begins_part(code: CodeType) -> str:
    """Which part of a step a call of this code may begin; also of a library's own optimizer."""
    part = part_of(code)
    if not part and code.co_name in ("step", "zero_grad") and is_foreign(code):
        return "optimizing"
    return part
