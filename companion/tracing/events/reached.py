"""Which parameters the losses reach, and which of those no optimizer holds.

A backward's graph is walked from its roots down to its leaves when it begins. When an optimizer
has stepped, what was reached is compared with what all living optimizers hold; what speaks for a
mistake is looked for in `companion.tracing.events.leftover`. A parameter that something moves all
the same, a line of the reader's own or an optimizer that is not torch's, is not told.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import is_a
from companion.records.line import Event
from companion.tracing.events.around import layer_under_way, names_around
from companion.tracing.events.between import stand_between
from companion.tracing.events.graph import below, grad_fn
from companion.tracing.events.leftover import Evidence, Leaf, Leftovers
from companion.tracing.events.values import leaf_of
from companion.tracing.measure.values import is_plain
from companion.tracing.measure.watched import groups, held

Built: TypeAlias = Mapping[int, Mapping[int, bool]]

MOST_NODES = 20_000  # of a graph; a larger one is not looked through
MOST_LEAVES = 20_000  # that are known at a time
MOST_BETWEEN = 4  # graphs in which it is looked for what stands between
MOST_LOOKS = 6  # through all living objects: for optimizers, and for modules


class Named(Protocol):
    """What knows the watched parameters by name, as they are now: a `Meter`."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """They."""


class Reached:
    """Listens to backwards and steps, and keeps nothing of the script's alive.

    Args:
        built: By the id of an optimizer the parameters that there were when it was built, by id,
            and whether each required a gradient; of those whose building somebody saw.
    """

    def __init__(self, built: Built | None = None) -> None:
        self._built: Built = {} if built is None else built
        self._watched: Named | None = None
        self._first: frozenset[int] | None = None  # the watched parameters at the beginning
        self._others: dict[int, weakref.ref[Optimizer]] = {}  # that have stepped without a name
        self._backwards = self._looks = 0
        self._told: dict[tuple[Any, ...], list[Event]] = {}
        self._graphs = 0  # in which it was looked for what stands between
        self._making_steps = 0  # steps before which a forward has made parameters
        self.forget()

    def forget(self) -> None:
        """Nothing is watched for a while: ids may be given anew, and parameters moved."""
        self._watched = None
        self._told.clear()
        self._leaves: dict[int, Leaf] = {}
        self._frozen: set[int] = set()  # were seen not to require a gradient
        self._made: list[str] = []  # what a forward has made since the last step
        self._start = self._backwards + 1  # the first backward since a step
        self._has_stepped = False
        self._sound: tuple[Any, ...] = ()
        self._between: frozenset[int] = frozenset()  # nobody's, and before all else

    def begin(self, watched: Named) -> None:
        """Watch from here on; what there is now is no younger than the optimizers."""
        self._watched = watched
        self._note_frozen()
        if self._first is None:
            self._first = frozenset(map(id, watched.parameters.values()))

    def _note_frozen(self) -> dict[int, str]:
        """Which watched parameters require no gradient now; the names of all, by id."""
        names = self.watched
        self._frozen.update(id(p) for p in names.values() if not p.requires_grad)
        return {id(p): name for name, p in names.items()}

    @property
    def watched(self) -> Mapping[str, Tensor]:
        """The watched parameters as they are now, by name."""
        return {} if self._watched is None else self._watched.parameters

    def _state(self, optimizer: Optimizer) -> tuple[Any, ...]:
        """What the last answer hung on: what was reached, and what this optimizer holds."""
        since = frozenset(key for key, leaf in self._leaves.items() if leaf.last >= self._start)
        lists = [group.get("params") for group in groups(optimizer)]
        return id(optimizer), since, [(id(one), len(one)) for one in lists if type(one) is list]

    def _by_id(self) -> dict[int, Tensor]:
        """The watched parameters as they are now, by id."""
        return {id(p): p for p in self.watched.values()}

    def made(self, frame: FrameType) -> None:
        """A parameter is made; of interest where a network's forward is under way."""
        if len(self._made) < 8:
            where = layer_under_way(frame)
            if where is not None and where not in self._made:
                self._made.append(where)

    def backward(self, roots: Iterable[Tensor], frame: FrameType) -> int:
        """A backward begins; how many parameters it reaches that no watched network has."""
        self._backwards += 1
        if self._has_stepped:
            self._has_stepped, self._start = False, self._backwards
        ours, tensors = self._note_frozen(), self._by_id()
        elsewhere = 0
        unnamed: list[tuple[Leaf, int]] = []
        if len(self._leaves) > MOST_LEAVES:
            self._leaves.clear()
        for order, tensor in enumerate(_leaves(roots)):
            key = id(tensor)
            known = self._leaves.get(key)
            if known is None or known.tensor(tensors) is not tensor:
                known = self._leaves[key] = Leaf(tensor, watched=key in ours)
                if key not in ours:
                    unnamed.append((known, key))
            known.last, known.order = self._backwards, order
            elsewhere += key not in ours
        if self._graphs < MOST_BETWEEN:
            self._look_between(roots)
        if unnamed:
            names = names_around(frame)
            for leaf, key in unnamed:
                leaf.name = names.get(key)
        return elsewhere

    def _look_between(self, roots: Iterable[Tensor]) -> None:
        """Which of those that nobody held at the step before stand before all others."""
        free = frozenset(key for key, leaf in self._leaves.items() if leaf.steps)
        self._graphs += bool(free)
        self._between = free if free and stand_between(roots, free) else frozenset()

    def stepped(
        self, optimizer: Optimizer, name: str, optimizers: Iterable[Optimizer]
    ) -> list[Event]:
        """An optimizer has stepped: what was reached since the steps before, and is in none.

        Args:
            optimizer: The optimizer.
            name: Its name.
            optimizers: Those that are watched.
        """
        self._has_stepped = True
        if not self._made and self._sound == self._state(optimizer):
            return []  # as at the step before: all that was reached is held
        made, self._made = self._made, []
        self._making_steps += bool(made)
        names, tensors = self._note_frozen(), self._by_id()
        known = [*optimizers, *(one for one in (r() for r in self._others.values()) if one)]
        if not any(one is optimizer for one in known):
            self._others[id(optimizer)] = weakref.ref(optimizer)
            known.append(optimizer)
        everything = {number for one in known for number in held(one)}
        since = [leaf for leaf in self._leaves.values() if leaf.last >= self._start]
        fresh = [(leaf, p) for leaf in since if (p := leaf.tensor(tensors)) is not None]
        gone = len(since) - len(fresh)  # with its graph: nobody held it
        self._leaves = {
            key: leaf for key, leaf in self._leaves.items() if leaf.tensor(tensors) is not None
        }
        loose = [
            (leaf, p)
            for leaf, p in fresh
            if id(p) not in everything and p.requires_grad and not leaf.has_moved(p)
        ]
        for leaf, _ in loose:
            leaf.steps += 1
        before = self._built.get(id(optimizer))
        thawed = self._frozen | {k for k, wanted in (before or {}).items() if not wanted}
        lasting = [(leaf, p) for leaf, p in loose if leaf.steps > 1 or id(p) in thawed]
        anew = [p for leaf, p in loose if leaf.steps == 1]
        mine = [p for p in held(optimizer).values() if p.requires_grad]
        idle = bool(mine) and all(p.is_leaf and p.grad is None for p in mine)
        idle = idle and not any(id(p) in self._leaves for p in mine)
        alone = not any(id(p) in everything for _, p in fresh)
        makes = made and self._making_steps > 1 and bool(anew or gone)
        key = (id(optimizer), idle, alone, *((id(p) for _, p in lasting) if not makes else made))
        if not (loose or made or gone):
            self._sound = self._state(optimizer)
        if not (lasting or makes) or (key not in self._told and self._looks >= MOST_LOOKS):
            return []
        if key in self._told:  # the same as at the step before, which was looked into
            return self._told[key]
        self._looks += 1
        orders = {one: leaf.order for one, leaf in self._leaves.items()}
        leftovers = Leftovers(
            optimizer,
            everything,
            Evidence(
                names, thawed, orders, before, self._first, self._between, idle=idle, alone=alone
            ),
        )
        events = leftovers.events(name, lasting)
        if makes and (number := gone + len(leftovers.free(anew))):
            details = {"parameters": tuple(made), "number": number, "why": "forward"}
            events = [Event("unheld", name, {**leftovers.kind, **details})]
        self._told[key] = events
        return events


def _leaves(roots: Iterable[Tensor]) -> list[Tensor]:
    """The parameters that a backward from there reaches, the nearest first; none if too many."""
    nodes = list(below(map(grad_fn, roots), MOST_NODES))
    if len(nodes) >= MOST_NODES:
        return []
    leaves = (leaf_of(node) for node in nodes)
    return [one for one in leaves if is_a(one, nn.Parameter) and is_plain(one)]
