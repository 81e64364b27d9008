"""What a trace knows of what it watches, for those who tell an event from a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from companion.tracing.events import loaders
from companion.tracing.events.beside import Beside, beside
from companion.tracing.events.forwards import Forwards
from companion.tracing.events.graph import Spent
from companion.tracing.events.reached import Reached
from companion.tracing.measure.parallel import is_one_of_several, unseen
from companion.tracing.measure.watched import Watched

NEAR = 40  # nodes below a backward's roots by which its graph is known again
MOST_SPENT = 100_000  # nodes that are remembered so


class Known(NamedTuple):
    """What a trace knows.

    Attributes:
        names: The names of what it watches, by id.
        spent: The graphs that a backward has gone through.
        beside: The networks that only take part, by id.
        loaders: What the data loaders have fetched.
        forwards: Those of the only network that no backward has reached yet.
        reached: The parameters that the losses have reached.
        several: Whether the script is one of several processes of a group.
        unseen: A sentence, if other processes hold parts of what is watched.
    """

    names: Mapping[int, str]
    spent: Spent
    beside: Mapping[int, Beside]
    loaders: loaders.Loaders
    forwards: Forwards | None
    reached: Reached
    several: bool
    unseen: list[str]


def what_is_known(watched: Watched, reached: Reached) -> Known:
    """What a trace of these knows at its beginning."""
    ours = [*watched.networks.items(), *watched.optimizers.items()]
    return Known(
        {id(one): name for name, one in ours},
        Spent(NEAR, MOST_SPENT),
        beside(watched),
        loaders.Loaders(),
        Forwards() if len(watched.networks) == 1 else None,
        reached,
        is_one_of_several(),
        unseen(watched),
    )
