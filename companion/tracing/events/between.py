"""Parameters that stand between a loss of classes and all else that it reaches: a head's."""

from __future__ import annotations

from collections.abc import Iterable, Set

from torch import Tensor

from companion.tracing.events.graph import Node, below, grad_fn
from companion.tracing.events.values import leaf_of

MOST_NODES = 2_000  # from the loss to them
_DEEP = 4  # nodes between a layer's and its weight: transposed, or of another type
_OF_CLASSES = "NllLoss"  # a cross entropy ends in it


def stand_between(roots: Iterable[Tensor], some: Set[int]) -> bool:
    """Whether a loss of classes reaches no leaf but through layers that have some of these.

    Example:
        >>> import torch
        >>> net, head = torch.nn.Linear(2, 3), torch.nn.Linear(3, 4)
        >>> scores = head(net(torch.ones(1, 2)))
        >>> loss = torch.nn.functional.cross_entropy(scores, torch.tensor([1]))
        >>> [stand_between([loss], {*map(id, one.parameters())}) for one in (net, head)]
        [False, True]
    """
    nodes = [*below(map(grad_fn, roots), MOST_NODES, lambda node: not _has(node, some))]
    if len(nodes) >= MOST_NODES or any(leaf_of(node) is not None for node in nodes):
        return False
    return any(node.name().startswith(_OF_CLASSES) for node in nodes)


def _has(node: Node, some: Set[int]) -> bool:
    """Whether a node computes with one of these leaves."""
    return any(id(_weight(one)) in some for one, _ in node.next_functions if one is not None)


def _weight(node: Node) -> Tensor | None:
    """The leaf that a node only shows in another way."""
    for _ in range(_DEEP):
        leaf = leaf_of(node)
        if leaf is not None:
            return leaf
        inner = [one for one, _ in node.next_functions if one is not None]
        if len(inner) != 1:
            return None
        (node,) = inner
    return None
