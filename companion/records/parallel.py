"""How a watched training is spread over several processes, as far as its networks tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parallel:
    """What of the watched networks several processes have in common.

    Attributes:
        averaged: Names of the parameters whose gradients DistributedDataParallel averages.
        sharded: Names of those of which each process holds a part.
        ranks: The processes that do so together; None where networks differ in that, or there is
            more than one dimension of them.
        hooked: Whether a hook of somebody's own says how gradients are averaged.
        outermost: Whether DistributedDataParallel is what a loop calls: no network is around it.
    """

    averaged: tuple[str, ...] = ()
    sharded: tuple[str, ...] = ()
    ranks: tuple[int, ...] | None = None
    hooked: bool = False
    outermost: bool = False
