"""Events that only a running frame's variables show: a `.grad` never kept, a graph that grows."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType

import torch
from torch import Tensor

from companion.isolation.objects import is_a
from companion.measure.values import is_plain
from companion.records.line import Event
from companion.records.syntax import added_to, reached, read_grads
from companion.tracing.code.frames import UNKNOWN, local_variables, value_of
from companion.tracing.events.graph import Node, Spent, below, grad_fn

MOST = 200  # nodes of a sum's graph that are counted
_SUMS = {"AddBackward0", "SubBackward0"}
_ARITHMETIC = {*_SUMS, "MulBackward0", "DivBackward0"}


def before(text: str, frame: FrameType) -> Iterator[Event]:
    """What a statement is about to do: read the `.grad` of a tensor that keeps none."""
    for name in read_grads(text):
        value = value_of(name, frame)
        if is_a(value, Tensor) and is_plain(value) and not value.is_leaf and not value.retains_grad:
            node = grad_fn(value)
            yield Event("non-leaf", name, {"made_by": "" if node is None else node.name()})


def after(text: str, frame: FrameType, spent: Spent) -> Iterator[Event]:
    """What a statement has done: added a tensor with its graph to a variable."""
    for name in added_to(text):
        value = value_of(name, frame)
        graph = _graph(value)
        if graph is not None and spent.has(graph):
            yield Event("graph kept", name, {"length": _sum(graph)})
        if type(value) is list and value and _graph(value[-1]) is not None:
            first = _graph(value[0])
            if first is not None and spent.has(first):
                yield Event("graph kept", name, {"length": len(value)})


def reads(text: str) -> bool:
    """Whether `before` or `after` look at a variable for this statement."""
    return bool(read_grads(text) or added_to(text))


def _graph(value: object) -> Node | None:
    """The node that a value comes from; None where it has none, or is no tensor of torch's own."""
    return grad_fn(value) if is_a(value, Tensor) and is_plain(value) else None


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


def _sum(node: Node) -> int:
    """How many sums stand on top of one another: `total += loss`, again and again."""
    whole = below([node], MOST, through=lambda n: n.name() in _ARITHMETIC)
    return sum(n.name() in _SUMS for n in whole)
