"""Events that only a running frame's variables show: a `.grad` never kept, a graph that grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import torch
from torch import Tensor

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


def _sum(node: Any) -> int:
    """How many sums and products stand on top of one another: `total += loss`, again and again."""
    seen, todo = {node}, [node]
    while todo and len(seen) < MOST:
        node = todo.pop()
        if node.name() in _ARITHMETIC:
            fresh = [under for under, _ in node.next_functions if under is not None]
            todo += [under for under in fresh if under not in seen]
            seen.update(fresh)
    return len(seen)


def _is_spent(node: Any) -> bool:
    """Whether a backward has gone through this graph already, and freed what it had saved."""
    seen, todo = {node}, [node]
    for node in todo:
        for name in dir(node):
            if name.startswith("_saved_"):
                try:
                    getattr(node, name)
                except RuntimeError:  # "Trying to backward through the graph a second time"
                    return True
        if len(todo) < NEAR:
            fresh = [n for n, _ in node.next_functions if n is not None and n not in seen]
            todo += fresh
            seen.update(fresh)
    return False


def _spread(node: Any, sides: Sequence[torch.Size]) -> Event | None:
    """A mean of squares or absolute values of a difference that was broadcast on both sides."""
    if not node.name().startswith(("MeanBackward", "SumBackward")):
        return None
    power = node.next_functions[0][0]
    if power is None or not power.name().startswith(("PowBackward", "AbsBackward")):
        return None
    minus = power.next_functions[0][0]
    if minus is None or minus.name() != "SubBackward0":
        return None
    whole = _shape(minus)
    for under, _ in minus.next_functions:
        part = None if under is None else _shape(under)
        if whole is None or part is None or len(whole) != 2:
            continue
        if whole[0] == whole[1] > 1 and part in ((whole[0], 1), (whole[0],), (1, whole[0])):
            other = (whole[0],) if len(part) == 2 else (whole[0], 1)
            if other in map(tuple, sides):
                return Event("shapes", "the difference", {"input": part, "target": other})
    return None


def _shape(node: Any) -> tuple[int, ...] | None:
    """The shape of what a node of the graph has computed, as autograd remembers it."""
    metadata = getattr(node, "_input_metadata", None)
    return tuple(metadata[0].shape) if metadata else None
