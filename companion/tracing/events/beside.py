"""What is known from the start of the networks that only take part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from torch import nn
from torch.optim.optimizer import Optimizer

from companion.tracing.measure.modules import parameters
from companion.tracing.measure.values import is_lazy, is_plain
from companion.tracing.measure.watched import Watched, alive, held


class Beside(NamedTuple):
    """A network that only takes part.

    Attributes:
        name: Its name.
        alike: Whether its parameters have the shapes of those that are trained, or of some of
            them: it may be a copy that is renewed later.
        elsewhere: Whether an optimizer that is not watched holds some of it.
    """

    name: str
    alike: bool
    elsewhere: bool


def beside(watched: Watched) -> dict[int, Beside]:
    """All of them, by id."""
    if not watched.others:
        return {}
    ours = _shapes(watched.networks.values())
    mine = {id(one) for one in watched.optimizers.values()}
    foreign = [one for one in alive(Optimizer) if id(one) not in mine]
    elsewhere = {number for optimizer in foreign for number in held(optimizer)}
    return {
        id(net): Beside(
            name,
            _shapes([net]) <= ours,
            any(id(p) in elsewhere for p in parameters(net)),
        )
        for name, net in watched.others.items()
    }


def _shapes(networks: Iterable[nn.Module]) -> Counter[tuple[int, ...]]:
    found = (p for net in networks for p in parameters(net) if is_plain(p) and not is_lazy(p))
    return Counter(tuple(p.shape) for p in found if not p.is_nested)
