"""What the graph of a loss tells of its criterion: a mean, a softmax taken twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.utils.checkpoint

from companion.isolation.objects import is_a
from companion.tracing.events.graph import Node, shape_of

NEAR = 40  # nodes below the loss, when its shape is asked for
_FAR = 200  # nodes that only hand on what they are given: time steps that were collected


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


# What only shows entries another way, picks some, or makes others of their type.
_LOOKS_ONLY = {
    *(f"{name}Backward0" for name in (
        "View", "UnsafeView", "ReshapeAlias", "Alias", "AsStrided", "Squeeze", "Unsqueeze",
        "Transpose", "Permute", "T", "Movedim", "Unfold", "Expand", "Repeat", "Slice", "Select",
        "Narrow", "Index", "IndexSelect", "Diagonal", "Flip", "Roll", "Clone", "ToCopy",
        "Unbind", "Split", "SplitWithSizes", "Clamp", "ClampMin", "Cat", "Stack",
    )),
    *("SqueezeBackward1", "SqueezeBackward2", "ClampBackward1", "SplitWithSizesBackward0",
      "torch::autograd::CopySlices"),
}  # fmt: skip


def feeding(node: Node | None) -> Node | None:
    """The node that computed what comes in here, looks and selections apart.

    Where several parts were put together, such as a list of time steps, it is one of theirs if
    the same was done to all.
    """
    found: Node | None = None
    todo, seen = [node], {node}
    for one in todo:
        if one is None or len(todo) > _FAR:
            if one is None:
                continue  # a part without a graph: zeros that were filled
            return None
        if one.name() in _LOOKS_ONLY:
            fresh = [n for n, _ in one.next_functions if n not in seen]
            todo += fresh
            seen.update(fresh)
        elif found is None:
            found = one
        elif found.name() != one.name():
            return None
    return found


class Twice(NamedTuple):
    """What stands right before a criterion that does the like itself.

    Attributes:
        what: Such as "softmax"; None where nothing does.
        before: What the criterion does: "softmax", "sigmoid"; "another" where it stood twice
            before the criterion.
        classes: Over how many classes the criterion's own softmax ran, if the loss is its mean.
    """

    what: str | None = None
    before: str | None = None
    classes: int | None = None


# What a criterion does itself, by autograd's own name; and what squeezes scores between 0 and 1.
_OWN = {
    "LogSoftmaxBackward0": "softmax",
    "BinaryCrossEntropyWithLogitsBackward0": "sigmoid",
    "LogSigmoidBackward0": "sigmoid",  # of MultiLabelSoftMarginLoss
}
SQUEEZES = {"SoftmaxBackward0": "softmax", "SigmoidBackward0": "sigmoid"}
# What takes probabilities, so that one squeeze is right and two are not.
_TAKES = {"BinaryCrossEntropyBackward0": "SigmoidBackward0", "LogBackward0": "SoftmaxBackward0"}


def taken_twice(near: Sequence[Node]) -> Twice:
    """What stands right below a criterion that does the like itself.

    Args:
        near: A loss's own node, and those below it.
    """
    for node in near[:NEAR]:
        name = node.name()
        if name not in _OWN and name not in _TAKES:
            continue
        under = feeding(node.next_functions[0][0])
        if under is None:
            continue
        if name in _OWN and under.name() in SQUEEZES:
            classes = _classes(node) if _is_mean_of(near[0], node) else None
            return Twice(SQUEEZES[under.name()], _OWN[name], classes)
        if under.name() == _TAKES.get(name) and _is_again(under):
            return Twice(SQUEEZES[under.name()], "another")
    return Twice()


def _is_again(node: Node) -> bool:
    """Whether the same is done, over the same dimension, right before."""
    before = feeding(node.next_functions[0][0])
    if before is None or before.name() != node.name():
        return False
    return dim_of(before) == dim_of(node)


def _is_mean_of(loss: Node | None, log_softmax: Node) -> bool:
    """Whether a loss is nothing but the mean of a cross entropy: then it can be foretold.

    Weights of classes weigh a mean, and leave it one.
    """
    return (
        loss is not None
        and loss.name().startswith("NllLoss")
        and is_mean(loss)
        and feeding(loss.next_functions[0][0]) is log_softmax
    )


def picked_across(near: Sequence[Node]) -> tuple[int, ...] | None:
    """Where each row of a log_softmax over the batch gives one entry, as a likelihood's do.

    Returns:
        The dimension that it ran over, that of the classes, and its shape. None for a square,
        whose columns may be meant as well as its rows, as in CLIP.
    """
    for node in near[:NEAR]:
        shape = _over_the_batch(node)
        if shape is not None:
            return (0, 1, *shape)
    return None


def _over_the_batch(node: Node) -> tuple[int, ...] | None:
    """The shape of a log_softmax over the batch, of which a node takes an entry of each row."""
    name, below_it = node.name(), node.next_functions[0][0] if node.next_functions else None
    if name == "SumBackward1":  # of a product with a 1 for the class of each example
        own = is_a(node, torch.autograd.function.BackwardCFunction)
        if own or below_it is None or getattr(node, "_saved_dim", None) not in _SECOND:
            return None
        sides = [side for side, _ in below_it.next_functions]
        if below_it.name() != "MulBackward0" or len(sides) != 2 or None not in sides:
            return None
        below_it = next((side for side in sides if side is not None), None)
    elif name == "GatherBackward0":
        if _number(node, "_saved_dim") not in (1, 2**64 - 1):
            return None
    elif name != "IndexBackward0":
        return None
    under = log_softmax(below_it)
    shape, picked = (None if one is None else shape_of(one) for one in (under, node))
    if under is None or shape is None or picked is None or dim_of(under) != 0:
        return None
    if len(shape) != 2 or shape[0] == shape[1] or 1 in shape:
        return None
    return shape if picked in (shape[:1], (shape[0], 1)) else None


_SECOND = ((1,), (2**64 - 1,), (-1,))


def log_softmax(node: Node | None) -> Node | None:
    """The node of a softmax whose logarithm this is; None for anything else."""
    if node is not None and node.name() == "LogBackward0":
        node = feeding(node.next_functions[0][0])
        return node if node is not None and node.name() == "SoftmaxBackward0" else None
    return node if node is not None and node.name() == "LogSoftmaxBackward0" else None


def dim_of(node: Node) -> int | None:
    """The dimension that a softmax ran over, from its node; counted from 0."""
    shape, dim = shape_of(node), _number(node, "_saved_dim")
    if shape is None or dim is None:
        return None
    dim = dim - 2**64 if dim >= 2**63 else dim  # it is kept unsigned
    dim += len(shape) if dim < 0 else 0
    return dim if 0 <= dim < len(shape) else None


def _classes(log_softmax: Node) -> int | None:
    """The length of the dimension that a log_softmax ran over, from its node."""
    shape, dim = shape_of(log_softmax), dim_of(log_softmax)
    return None if shape is None or dim is None else int(shape[dim])
