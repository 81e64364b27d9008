"""Which forwards a backward goes back through: one that none reaches was for looking only.

autograd numbers the nodes that a thread makes in their order, so each forward has an interval of
its own. Of a backward's graph the numbers are read, and only where there were several forwards.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from companion.tracing.events.graph import Node, below, number_of

MOST_NODES = 20_000  # of a graph that is walked through
MOST_OPEN = 200  # forwards that no backward has reached yet; older ones are forgotten


class Forwards:
    """The forwards with a graph that no backward has gone back through so far."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[int, int]] = []  # a forward's number, and that of its first node
        self._forgotten: set[int] = set()

    @property
    def several(self) -> bool:
        """Whether a backward has to tell which of them it reaches."""
        return len(self._open) > 1

    def begin(self) -> int:
        """A forward begins: its number, counted from 0."""
        self._open.append((self._count, torch._C._autograd._get_sequence_nr()))
        del self._open[:-MOST_OPEN]
        self._count += 1
        return self._count - 1

    def reached(self, roots: Iterable[Node | None]) -> tuple[int, ...]:
        """A backward begins: the numbers of the forwards that it reaches, or may reach."""
        if self.several:
            nodes = list(below(roots, MOST_NODES))
            numbers = [number for number in map(number_of, nodes) if number is not None]
            ends = [first for _, first in self._open[1:]] + [2**63]
            found = {
                one
                for (one, first), end in zip(self._open, ends, strict=True)
                if len(nodes) >= MOST_NODES or any(first <= number < end for number in numbers)
            }
        else:
            found = {one for one, _ in self._open}
        self._open = [(one, first) for one, first in self._open if one not in found]
        found |= self._forgotten
        self._forgotten = set()
        return tuple(sorted(found))

    def forget(self) -> None:
        """What comes is not seen, or no backward: it may reach whatever there is."""
        self._forgotten.update(one for one, _ in self._open)
        self._open = []
