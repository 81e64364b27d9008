"""Several calls on one line: what one of them does ends where the next one begins.

The line `loss.backward(); optimizer.step()` has a record for each of the two, as a line has one for
what it did before a call that is followed. What a function does that is not followed is one thing.
"""

from __future__ import annotations

import os
from types import FrameType

import torch

from companion.tracing.events.recognise import FORWARD
from companion.tracing.place import Place
from companion.tracing.recorder import Recorder

CALLS = {"clear", "backward", "clip", "unscale", "scaler step", "step", "schedule"}
_TORCH = os.path.dirname(torch.__file__) + os.sep
# In these others may run, by hooks and closures, and are theirs.
_AROUND = {"step", "backward", "_engine_run_backward"}


def divide(recorder: Recorder, place: Place, frame: FrameType, part: str) -> None:
    """A call of torch is about to run: end what the line did before it, if that was another one."""
    if part in CALLS and _is_direct(frame, place.frame, part):
        if place.called:
            recorder.finish(place, begun=True)
        place.called = True


def _is_direct(frame: FrameType, caller: FrameType, part: str) -> bool:
    """Whether the line itself makes a call, through torch alone and by no other such call."""
    outer = frame.f_back
    if part == "backward" and outer is not None and outer.f_code.co_name == "backward":
        outer = outer.f_back  # the tensor's own
    while outer is not None and outer is not caller:
        code = outer.f_code
        if code is FORWARD or code.co_name in _AROUND or not code.co_filename.startswith(_TORCH):
            return False
        outer = outer.f_back
    return outer is caller
