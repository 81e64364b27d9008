"""Parts of a line in which a library runs the loop: from one call of torch to the next.

A line like `trainer.train()` runs once, and trains for hours. Where the library that it calls is in
a loop of its own, each call of torch that is an event begins a new part of the line, a `Phase`: it
has a record as a line has, and training steps are counted by the places in the library that call.
No line of the library is followed for it, and nothing in it is patched.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any

import torch

from companion.isolation.objects import types_of
from companion.isolation.wall import is_calm
from companion.records.phase import Phase
from companion.tracing.code.foreign import is_foreign
from companion.tracing.code.frames import local_variables
from companion.tracing.code.loops import is_in_loop
from companion.tracing.events.recognise import FORWARD, roots
from companion.tracing.events.values import numbers_in
from companion.tracing.joined import divide
from companion.tracing.measure.values import is_lazy
from companion.tracing.place import Place
from companion.tracing.recorder import Recorder


def begin_part(recorder: Recorder, place: Place, frame: FrameType, part: str) -> bool:
    """A call of torch is about to run: whether a new part of the line under way begins with it."""
    if part == "update" and (place.phase is None or place.part == "step"):
        return False  # it is part of the step, unless a closure ran between
    if part == "optimizing" and (place.phase is None or not _is_optimizer(frame)):
        return False
    evaluates = part == "forward" and not torch.is_grad_enabled()
    frames = _between(frame, place.frame)
    if not frames and place.phase is None:
        divide(recorder, place, frame, part)
    if not frames or (place.phase is None and (evaluates or not _is_looping(frames, part))):
        return False
    inner = frame if part == "optimizing" else _public(frames)
    function = _name(inner)
    if evaluates and place.phase is not None and place.phase.function == function:
        return False  # a test, batch after batch
    library = place.phase.library if place.phase is not None else _whole_name(frames[-1])
    loss = None
    if part == "backward" and place.phase is not None and place.forward:
        loss = _loss(local_variables(frame))
        if place.part == "forward":
            place.phase, loss = replace(place.phase, loss=loss), None
    recorder.finish(place, begun=True)
    place.phase, place.part = Phase(library, function, loss), "step" if part == "update" else part
    place.forward = part == "forward" or (place.forward and part != "backward")
    key: Hashable = id(inner.f_code), -1 if part == "optimizing" else inner.f_lasti
    recorder.count(key)
    return True


def end_part(place: Place) -> None:
    """A function of the user's is called: what comes after it, nobody has begun."""
    if place.phase is not None:
        place.phase, place.part, place.forward = Phase(place.phase.library), "", False


def _between(frame: FrameType, caller: FrameType) -> list[FrameType]:
    """The library's frames of a call, innermost first; none where a network's forward makes it."""
    found = []
    outer = frame.f_back
    while outer is not None and outer is not caller:
        if outer.f_code is FORWARD:
            return []
        if is_foreign(outer.f_code):
            found.append(outer)
        outer = outer.f_back
    return found if outer is caller else []


def _public(frames: list[FrameType]) -> FrameType:
    """The function that makes the call; not a lambda, nor a private helper of the one above it."""
    named = [one for one in frames if not one.f_code.co_name.startswith("<")] or frames
    while len(named) > 1 and named[0].f_code.co_name.startswith("_"):
        if named[0].f_code.co_filename != named[1].f_code.co_filename:
            break
        if is_in_loop(named[1].f_code, named[1].f_lasti):
            break
        named = named[1:]
    return named[0]


def _is_looping(frames: list[FrameType], part: str) -> bool:
    """Whether the library runs a loop around it.

    One that only goes through several optimizers calls them itself.
    """
    loops = frames if part in ("forward", "backward") else frames[1:]
    return any(is_in_loop(one.f_code, one.f_lasti) for one in loops)


def _is_optimizer(frame: FrameType) -> bool:
    """Whether a method's object says by its type that it is one."""
    owner = local_variables(frame).get("self")
    return any("Optim" in kind.__name__ for kind in types_of(type(owner)))


def _loss(local: Mapping[str, Any]) -> float | None:
    """The number that a backward begins at."""
    found = roots(local.get("tensors"))
    if len(found) != 1 or is_lazy(found[0]) or found[0].is_nested or not is_calm():
        return None
    return numbers_in(found[0])[0]


def _name(frame: FrameType) -> str:
    """A function by its class and name, such as "Trainer.training_step"."""
    code = frame.f_code
    known = getattr(code, "co_qualname", None)  # from Python 3.11 on
    if known is None:
        owner = local_variables(frame).get("self") if "self" in code.co_varnames[:1] else None
        known = code.co_name if owner is None else f"{_owner(owner, code)}.{code.co_name}"
    return ".".join(str(known).replace("<locals>.", "").split(".")[-2:])


def _owner(owner: object, code: CodeType) -> str:
    """The class of an object's method: where it is written, if that can be seen."""
    kinds = types_of(type(owner))
    for kind in kinds:
        own = type.__dict__["__dict__"].__get__(kind).get(code.co_name)
        if getattr(own, "__code__", None) is code:
            return str(kind.__name__)
    return str(kinds[0].__name__)


def _whole_name(frame: FrameType) -> str:
    """The same with its package."""
    module = dict.get(frame.f_globals, "__name__")
    package = module.partition(".")[0] if type(module) is str else ""
    return f"{package}.{_name(frame)}".lstrip(".")
