"""Events that only a running frame's variables show: a `.grad` never kept, a graph that grows."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType

import torch
from torch import Tensor

from companion.isolation.objects import is_a
from companion.records.keeping import keepers
from companion.records.line import Event
from companion.records.syntax import reached, read_grads
from companion.tracing.code.frames import UNKNOWN, local_variables, value_of
from companion.tracing.events import idle
from companion.tracing.events.graph import Spent, grad_fn
from companion.tracing.events.keeping import kept
from companion.tracing.measure.values import is_plain


def before(text: str, frame: FrameType) -> Iterator[Event]:
    """What a statement is about to do: read the `.grad` of a tensor that keeps none."""
    for name in read_grads(text):
        value = value_of(name, frame)
        if is_a(value, Tensor) and is_plain(value) and not value.is_leaf and not value.retains_grad:
            node = grad_fn(value)
            yield Event("non-leaf", name, {"made_by": "" if node is None else node.name()})


def after(text: str, frame: FrameType, spent: Spent) -> Iterator[Event]:
    """What a statement has done: added a tensor with its graph to a variable."""
    yield from kept(text, frame, spent)
    yield from idle.without_effect(text, frame)


def reads(text: str) -> bool:
    """Whether `before` or `after` look at a variable for this statement."""
    known = read_grads(text) or keepers(text)
    return bool(known) or idle.reads(text)


def reached_by(text: str, frame: FrameType) -> list[Tensor] | None:
    """The tensors whose memory a statement reaches for; None where that cannot be told."""
    names = reached(text)
    if names is None:
        return None
    values = [value_of(name, frame) for name in names]
    if any(value is UNKNOWN for value in values):
        return None
    return [value for value in values if is_a(value, Tensor)]


_BARE = (str, bytes, int, float, complex, type(None), torch.dtype, torch.device, torch.Size)


def given_to(frame: FrameType) -> list[Tensor] | None:
    """The tensors that a function was called with; None where it was given what may hold more."""
    values = list(local_variables(frame).values())
    if all(is_a(value, Tensor) or type(value) in _BARE or _is_array(value) for value in values):
        return [value for value in values if is_a(value, Tensor)]
    return None


def _is_array(value: object) -> bool:
    """Whether a value is an array of numpy's, or one of its numbers."""
    return type(value).__module__ == "numpy" and type(value).__name__ != "object_"
