"""What the graph of a loss tells of its criterion: a mean, a softmax taken twice."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.utils.checkpoint

from companion.isolation.objects import is_a
from companion.tracing.events.graph import Node, shape_of

NEAR = 40  # nodes below the loss, when its shape is asked for


def is_mean(node: Node | None) -> bool:
    """Whether a loss comes straight out of a criterion that takes the mean."""
    return node is not None and _number(node, "_saved_reduction") == 1


def _number(node: Node, name: str) -> int | None:
    """A number that one of torch's own nodes has saved: no hook runs for it."""
    if is_a(node, torch.autograd.function.BackwardCFunction):  # somebody's own Function
        return None
    found = getattr(node, name, None) if name in _NUMBERS else None
    return found if type(found) is int else None


_NUMBERS = ("_saved_reduction", "_saved_dim")


# What a criterion does itself → what should not come before it, each by autograd's own name.
_TWICE = {
    "LogSoftmaxBackward0": ("SoftmaxBackward0", "softmax"),
    "BinaryCrossEntropyWithLogitsBackward0": ("SigmoidBackward0", "sigmoid"),
}
_LOOKS_ONLY = {"ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0", "SqueezeBackward0",
               "SqueezeBackward1", "UnsqueezeBackward0", "ToCopyBackward0", "TransposeBackward0",
               "PermuteBackward0", "TBackward0", "ExpandBackward0"}  # fmt: skip


def taken_twice(near: Iterable[Node]) -> tuple[str | None, int | None]:
    """Such as "softmax", where one stands right below the criterion's own, and how many classes.

    Args:
        near: The nodes below a loss, some `NEAR` of them.
    """
    for node in near:
        name, what = _TWICE.get(node.name(), ("", None))
        under = node.next_functions[0][0] if what else None
        while under is not None and under.name() in _LOOKS_ONLY:
            under = under.next_functions[0][0]
        if under is not None and under.name() == name:
            return what, _classes(node)
    return None, None


def _classes(log_softmax: Node) -> int | None:
    """The length of the dimension that a log_softmax ran over, from its node."""
    shape, dim = shape_of(log_softmax), _number(log_softmax, "_saved_dim")
    if shape is None or dim is None:
        return None
    dim = dim - 2**64 if dim >= 2**63 else dim  # it is kept unsigned
    return int(shape[dim]) if -len(shape) <= dim < len(shape) else None
