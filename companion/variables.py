"""Events that only a running frame's variables show: a `.grad` never kept, a graph that grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import FrameType

import torch
from torch import Tensor

from companion.graphs import Node, below, shape_of
from companion.records import Event
from companion.syntax import added_to, assigned, read_grads, subtracted, value_of

NEAR = 30  # nodes below one, when it is asked whether its graph is spent
MOST = 200  # nodes of a sum's graph that are counted
_ARITHMETIC = {"AddBackward0", "SubBackward0", "MulBackward0", "DivBackward0"}


def before(text: str, frame: FrameType) -> Iterator[Event]:
    """What a statement is about to do: read the `.grad` of a tensor that keeps none."""
    for name in read_grads(text):
        value = value_of(name, frame)
        if isinstance(value, Tensor) and not value.is_leaf and not value.retains_grad:
            made_by = value.grad_fn.name() if value.grad_fn is not None else ""
            yield Event("non-leaf", name, {"made_by": made_by})


def after(text: str, frame: FrameType) -> Iterator[Event]:
    """What a statement has done: added a tensor with its graph to a variable."""
    for name in added_to(text):
        value = value_of(name, frame)
        graph = value.grad_fn if isinstance(value, Tensor) else None
        if graph is not None and _is_spent(graph):
            yield Event("graph kept", name, {"length": _sum(graph)})
        last = value[-1] if isinstance(value, list) and value else None
        if isinstance(last, Tensor) and last.grad_fn is not None:
            first = value[0].grad_fn if isinstance(value[0], Tensor) else None
            if first is not None and _is_spent(first):
                yield Event("graph kept", name, {"length": len(value)})
    for name in assigned(text):
        value = value_of(name, frame)
        if isinstance(value, Tensor) and value.grad_fn is not None and value.dim() == 0:
            sides = [value_of(side, frame) for side in subtracted(text)]
            spread = _spread(value.grad_fn, [s.shape for s in sides if isinstance(s, Tensor)])
            if spread is not None:
                yield spread


def _sum(node: Node) -> int:
    """How many sums and products stand on top of one another: `total += loss`, again and again."""
    return sum(1 for _ in below([node], MOST, through=lambda n: n.name() in _ARITHMETIC))


def _is_spent(node: Node) -> bool:
    """Whether a backward has gone through this graph already, and freed what it had saved."""
    for one in below([node], NEAR):
        for name in dir(one):
            if name.startswith("_saved_"):
                try:
                    getattr(one, name)
                except RuntimeError:  # "Trying to backward through the graph a second time"
                    return True
    return False


def _spread(node: Node, sides: Sequence[torch.Size]) -> Event | None:
    """A mean of squares or absolute values of a difference that was broadcast on both sides."""
    if not node.name().startswith(("MeanBackward", "SumBackward")):
        return None
    power = node.next_functions[0][0]
    if power is None or not power.name().startswith(("PowBackward", "AbsBackward")):
        return None
    minus = power.next_functions[0][0]
    if minus is None or minus.name() != "SubBackward0":
        return None
    whole = shape_of(minus)
    for under, _ in minus.next_functions:
        part = None if under is None else shape_of(under)
        if whole is None or part is None or len(whole) != 2:
            continue
        if whole[0] == whole[1] > 1 and part in ((whole[0], 1), (whole[0],), (1, whole[0])):
            other = (whole[0],) if len(part) == 2 else (whole[0], 1)
            if other in map(tuple, sides):
                return Event("shapes", "the difference", {"input": part, "target": other})
    return None
