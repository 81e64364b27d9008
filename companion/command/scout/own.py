"""Which code is the user's, and which of it belongs to the loop itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import CodeType, FrameType

import torch
import torch.utils.data

from companion.command.scout.forwards import is_in_forward
from companion.isolation.libraries import is_in_library

_DATA = os.path.dirname(torch.utils.data.__file__) + os.sep


def is_own(code: CodeType, place: str | None = None) -> bool:
    """Whether code is the user's: in a file that is in no library, or in the place that runs.

    That is a script, or the folder of a package. No lambda and no comprehension.
    """
    if code.co_name[0] == "<" and code.co_name != "<module>":
        return False
    if code.co_filename == place:
        return True
    if code.co_filename.startswith("<"):
        return False
    if place is not None and code.co_filename.startswith(place + os.sep):
        return True
    return not is_in_library(code.co_filename)


def is_special(code: CodeType) -> bool:
    """Whether code is a network's `forward`, or a special method."""
    return code.co_name == "forward" or code.co_name.startswith("__")


def is_direct(frame: FrameType, caller: FrameType) -> bool:
    """Whether a function was called for the loop: not by a network's forward, nor for its data."""
    between = frame.f_back
    while between is not None and between is not caller:
        if between.f_code.co_filename.startswith(_DATA):
            return False
        between = between.f_back
    return between is caller and not is_in_forward(frame, caller)


def frames_of(
    frame: FrameType | None, top: FrameType | None, follows: Callable[[CodeType], bool]
) -> list[FrameType]:
    """The frames to be followed of those that run (below `top`), outermost first."""
    found: list[FrameType] = []
    while frame is not None and frame is not top:
        if follows(frame.f_code) and not is_in_forward(frame):
            found.insert(0, frame)
        frame = frame.f_back
    return found
