"""autograd's graph, read from a node downward. Nothing is computed, and nothing kept alive.

What a node has saved is never asked for: that runs the hooks of whoever saved it in his own way
(checkpointing runs a whole forward again).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from torch import Tensor

from companion.isolation.wall import is_ours

Node: TypeAlias = Any  # torch.autograd.graph.Node


def below(
    roots: Iterable[Node | None], most: int, through: Callable[[Node], bool] = lambda node: True
) -> Iterator[Node]:
    """The nodes of a graph, each once, nearest first.

    Args:
        roots: Where to begin, as `tensor.grad_fn` gives it; None is passed over.
        most: About how many nodes to look at.
        through: Whether to go on below a node.

    Example:
        >>> import torch
        >>> loss = (torch.ones(2, requires_grad=True) * 3).sum()
        >>> [node.name() for node in below([loss.grad_fn], 10)]
        ['SumBackward0', 'MulBackward0', 'torch::autograd::AccumulateGrad']
    """
    todo = [root for root in roots if root is not None]
    seen = set(todo)
    for node in todo:
        yield node
        if len(todo) < most and through(node):
            for under, _ in node.next_functions:
                if under is not None and under not in seen:
                    seen.add(under)
                    todo.append(under)


def shape_of(node: Node) -> tuple[int, ...] | None:
    """The shape of what a node has computed, as autograd remembers it."""
    metadata = getattr(node, "_input_metadata", None)
    return tuple(metadata[0].shape) if metadata else None


def grad_fn(tensor: Tensor) -> Node | None:
    """The node that a tensor comes from; None for a leaf, and for a view that may not be asked.

    torch makes the node of a view anew when its base was written, and refuses where several
    views came out of one call.
    """
    try:
        return tensor.grad_fn
    except RuntimeError as error:
        if not is_ours(error):
            raise
        return None


class Spent:
    """Graphs that a backward has gone through, told by the numbers of their nodes.

    autograd numbers the nodes that a thread makes, and a number is never given twice. A node of a
    custom `autograd.Function` is told by its number, too.
    """

    def __init__(self, near: int, most: int) -> None:
        self._near, self._most = near, most
        self._numbers: dict[int, None] = {}  # a set that knows which are its oldest

    def note(self, nodes: Iterable[Node]) -> None:
        """A backward will free these, and what is below them."""
        numbers = map(number_of, nodes)
        self._numbers.update((number, None) for number in numbers if number is not None)
        while len(self._numbers) > self._most:
            del self._numbers[next(iter(self._numbers))]

    def has(self, node: Node) -> bool:
        """Whether a backward has gone through the graph near this node."""
        return any(number_of(one) in self._numbers for one in below([node], self._near))


_LEAF = 2**63  # what gathers a leaf's gradient has the largest number of all


def number_of(node: Node) -> int | None:
    """A node's number in the order in which nodes were made; None for that of a leaf."""
    number: int = node._sequence_nr()
    return number if number < _LEAF else None
