"""What a call of some code means to a trace; asked once for each code."""

from __future__ import annotations

from collections.abc import Callable
from inspect import CO_OPTIMIZED
from types import CodeType
from typing import NamedTuple

import torch

from companion._libraries import is_in_library
from companion.events import Recogniser, recogniser_of
from companion.writes import reaches_past, unscales

_BACKWARD = torch.autograd.backward.__code__


class Call(NamedTuple):
    """What a call of some code means to a trace.

    Attributes:
        recogniser: What tells the event.
        past: It may write uncounted.
        aimed: If so, then only into what it is called with: a library knows no network but
            those that it is given.
        unscaling: It divides all gradients, and counts no write.
        wakes: It is where training begins again.
        follows: Its lines are watched.
    """

    recogniser: Recogniser | None = None
    past: bool = False
    aimed: bool = False
    unscaling: bool = False
    wakes: bool = False
    follows: bool = False


PLAIN = Call()


def meaning_of(code: CodeType, follows: Callable[[CodeType], bool]) -> Call:
    """What a call of this code means; `PLAIN` itself where it means nothing."""
    past = bool(reaches_past(code))
    # A class's body is no function: its variables stand in whatever its metaclass likes.
    is_body = not code.co_flags & CO_OPTIMIZED and code.co_name != "<module>"
    call = Call(
        recogniser_of(code),
        past,
        past and is_in_library(code.co_filename) and not code.co_freevars,
        unscales(code),
        code is _BACKWARD,
        not is_body and follows(code),
    )
    return PLAIN if call == PLAIN else call
