"""What speaks for a mistake where a loss reaches parameters that no optimizer holds.

Many a loop leaves parameters out on purpose and freezes none of them: a head is trained on a
backbone, a generator through a network that judges it. So a parameter that nobody holds says
nothing by itself. Told is only what such a loop does not have: see `Leftovers.why`.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a
from companion.records.line import Event
from companion.tracing.events.around import compares, is_written_by_hand, made_of
from companion.tracing.events.as_built import as_built
from companion.tracing.events.as_new import is_as_new
from companion.tracing.measure.marks import mark
from companion.tracing.measure.modules import (
    children,
    is_training,
    named_parameters,
    own_parameters,
    parameters,
)
from companion.tracing.measure.values import is_lazy
from companion.tracing.measure.watched import held

DEEP = 60  # modules around one another that are looked through
FRESH = 2  # times that torch's own layers write a parameter when they are built, at most


class Leaf:
    """A parameter that a loss has reached.

    Attributes:
        last: The number of the latest backward that reached it.
        order: Its place among the leaves of that graph, the nearest to the loss first.
        steps: Before how many steps it was reached, and held by no known optimizer.
        name: The user's, where no watched network has it.
    """

    def __init__(self, tensor: Tensor, *, watched: bool) -> None:
        self._key = id(tensor)
        # A script can count the weak references to its parameters: a watched one gets none.
        self._ref = None if watched else weakref.ref(tensor)
        self.last = self.order = self.steps = 0
        self.name: str | None = None
        self._mark: tuple[Any, ...] | None = None

    def tensor(self, watched: Mapping[int, Tensor]) -> Tensor | None:
        """The parameter, unless it is gone; `watched` are those of the networks, by id."""
        return watched.get(self._key) if self._ref is None else self._ref()

    def has_moved(self, tensor: Tensor) -> bool:
        """Whether it was written since this was first asked."""
        now = mark(tensor)
        if self._mark is None:
            self._mark = now
        return self._mark != now


class Evidence(NamedTuple):
    """What is known of the parameters when an optimizer has stepped.

    Attributes:
        names: The names of the watched ones, by id.
        thawed: Those that once required no gradient, by id.
        orders: Where each stands below the last loss that reached it, the nearest first.
        built: Those that there were when the optimizer was built, if somebody saw that.
        first: The watched ones when the watching began.
        between: Those through which alone the last loss, one of classes, reached all others.
        idle: Whether nothing that the optimizer holds was ever reached.
        alone: Whether nothing that any known optimizer holds was reached now.
    """

    names: Mapping[int, str]
    thawed: set[int]
    orders: Mapping[int, int]
    built: Mapping[int, bool] | None
    first: frozenset[int] | None
    between: frozenset[int]
    idle: bool
    alone: bool


class Leftovers:
    """Parameters that a loss reaches and nobody holds.

    Args:
        optimizer: The one that has stepped.
        everything: What the known optimizers hold, by id.
        evidence: What is known of the parameters.
    """

    def __init__(self, optimizer: Optimizer, everything: set[int], evidence: Evidence) -> None:
        self._mine, self._evidence = held(optimizer), evidence
        self.kind = {"optimizer": as_built(optimizer)}
        living = [one for one in gc.get_objects() if issubclass(type(one), (Optimizer, nn.Module))]
        others = [one for one in living if is_a(one, Optimizer)]
        self._all = everything | {number for one in others for number in held(one)}
        self._owners: dict[int, nn.Module] = {}
        self._parents: dict[int, nn.Module] = {}
        self._known: dict[int, bool] = {}  # by the id of a network: whether it stands between
        modules = [one for one in living if is_a(one, nn.Module)]
        self._modules = [one for one in modules if "_modules" in attributes(one)]
        for module in self._modules:
            for p in own_parameters(module).values():
                if p is not None:
                    self._owners.setdefault(id(p), module)
            for child in children(module).values():
                if child is not None:
                    self._parents.setdefault(id(child), module)

    def free(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """Those that no living optimizer holds."""
        return [p for p in tensors if id(p) not in self._all]

    def events(self, name: str, leaves: Sequence[tuple[Leaf, Tensor]]) -> list[Event]:
        """What is told of a step: for each kind of evidence the parameters that it is about."""
        free = [(leaf, p) for leaf, p in leaves if id(p) not in self._all]
        self._free = {id(p) for _, p in free}
        evidence = self._evidence
        instead = evidence.idle and (evidence.alone or self._are_alike([p for _, p in free]))
        if instead and len(free) != len(self._mine):
            self.kind = {"optimizer": None}  # it was built from a part, or from more
        found: dict[str, list[str]] = {}
        for leaf, p in reversed(free):  # as a network names them: its first layers first
            why = "instead" if instead else self.why(leaf, p)
            own = evidence.names.get(id(p)) or leaf.name or self._name(p)
            found.setdefault(why, []).append(own)
        return [
            Event("unheld", name, {**self.kind, "parameters": tuple(ns), "number": len(ns),
                                   "why": why})
            for why, ns in found.items()
        ]  # fmt: skip

    def _are_alike(self, free: Sequence[Tensor]) -> bool:
        """Whether the optimizer holds as many of each shape."""
        mine = [p for p in self._mine.values() if not is_lazy(p)]
        shapes = [Counter(tuple(p.shape) for p in some) for some in (free, mine)]
        return bool(free) and not shapes[0] - shapes[1]

    def why(self, leaf: Leaf, p: Tensor) -> str:
        """What speaks for a mistake, in a word.

        - "thawed": it requires a gradient since the optimizer was built;
        - "younger": it was made after the optimizer, for a network that it holds parts of;
        - "rest": the layers around it are held, and the loss reaches one of them through it;
        - "between": a loss of classes reaches all else through it and its like, a new network;
        - "own": it stands alone, near the loss, and no layer has it: the weights of a loss;
        - "copy": the network keeps a tensor that was computed from it, and not itself.

        Nothing speaks by itself for one of a "network", of one in eval mode that only serves as a
        "judge", or for one that is "nowhere".
        """
        owner = self._owners.get(id(p))
        if owner is None:
            if leaf.name is not None and leaf.name.startswith("("):
                return "copy"
            if leaf.name is not None:
                by_hand = is_written_by_hand(leaf.name, sys._getframe(1))
                return "own" if self._is_near(leaf) and not by_hand else "nowhere"
            return "copy" if self._copy(p) is not None else "nowhere"
        if id(p) in self._evidence.thawed:
            return "thawed"
        if not is_training(owner):
            return "judge"
        if self._is_beside(owner):
            if self._is_younger(p):
                return "younger"
            return "rest" if self._is_rest(leaf, p, owner) else "network"
        alone = self._stands_alone(owner) and (p.dim() < 2 or compares(owner))
        if alone:
            return "own"
        return "between" if self._is_between(owner) else "network"

    def _is_beside(self, module: nn.Module) -> bool:
        """Whether the optimizer holds something in a module, or in one around it."""
        around: nn.Module | None = module
        for _ in range(DEEP):
            if around is None:
                break
            if any(id(p) in self._mine for p in parameters(around)):
                return True
            around = self._parents.get(id(around))
        return False

    def _is_younger(self, p: Tensor) -> bool:
        """Whether it was made after the optimizer, and not loaded: no network that only judges."""
        if p._version > FRESH:
            return False
        built, first = self._evidence.built, self._evidence.first
        # One that lacks what the optimizer was given saw nothing: `gc.freeze()` hides objects.
        if built and not built.keys().isdisjoint(self._mine):
            return id(p) not in built
        return id(p) in self._evidence.names and first is not None and id(p) not in first

    def _is_rest(self, leaf: Leaf, p: Tensor, owner: nn.Module) -> bool:
        """Whether layers beside its own are held whole, no fewer, and one of them lies deeper."""
        if p._version > FRESH:
            return False
        own = [one for one in own_parameters(owner).values() if one is not None]
        mine = [one for one in own if id(one) in self._all]
        around = self._parents.get(id(owner)) if _is_torchs(owner) else owner
        if around is None:
            return False
        inside = [one for one in parameters(around) if not is_lazy(one)]
        free = sum(id(one) in self._free for one in inside)
        held_ones = [one for one in inside if id(one) in self._all]
        if mine and _is_torchs(owner):  # one of its two; a weight left out would be BitFit
            return p.dim() < max(one.dim() for one in held_ones) and 2 * free <= len(held_ones)
        layers = [own_parameters(child).values() for child in children(around).values()]
        some = [[one for one in layer if one is not None] for layer in layers]
        beside = [one for one in some if one and all(id(p) in self._all for p in one)]
        if not _is_torchs(owner):
            beside += [[one] for one in mine]
        # A weight stands behind a node more than its bias: a layer is where its nearest one is.
        orders = [min(self._order(one) for one in layer) for layer in beside]
        mine_at = min(map(self._order, own)) if _is_torchs(owner) else leaf.order
        if not orders:
            return False
        if max(orders) < mine_at:  # a head on a backbone that stays; or half of a small new network
            all_held = max(map(self._order, held_ones))
            left = [one for one in inside if id(one) in self._free]
            split = all(self._order(one) > all_held for one in left)
            loaded = any(one._version > 1 for one in left)  # it was trained elsewhere
            return split and not loaded and free <= len(held_ones)
        # The last layer was left out, or few are; where many stay, the others are adapters.
        return free <= len(held_ones) if min(orders) > mine_at else 2 * free <= len(held_ones)

    def _is_between(self, owner: nn.Module) -> bool:
        """Whether a whole network, as new and no larger, comes before all that is held."""
        root = self._root(owner)
        if id(root) not in self._known:
            self._known[id(root)] = self._comes_first([*parameters(root)]) and is_as_new(root)
        return self._known[id(root)]

    def _comes_first(self, own: Sequence[Tensor]) -> bool:
        orders, between = self._evidence.orders, self._evidence.between
        others = [order for key, order in orders.items() if key in self._all]
        if not all(id(p) in between and p._version == 1 for p in own) or not others:
            return False
        return min(map(self._order, own)) < min(others) and len(own) <= len(others)

    def _order(self, p: Tensor) -> int:
        return self._evidence.orders.get(id(p), -1)

    def _root(self, module: nn.Module) -> nn.Module:
        for _ in range(DEEP):
            module = self._parents.get(id(module), module)
        return module

    def _is_near(self, leaf: Leaf) -> bool:
        """Whether something that is held lies farther from the loss: it is part of no backbone."""
        orders = self._evidence.orders
        return any(order > leaf.order for key, order in orders.items() if key in self._all)

    def _stands_alone(self, owner: nn.Module) -> bool:
        """Whether a module of the user's class has all its parameters itself, as a loss has."""
        inside = [p for p in parameters(self._root(owner)) if p.requires_grad]
        if _is_torchs(owner) or any(id(p) in self._all for p in inside):
            return False
        return all(self._owners.get(id(p)) is owner for p in inside)

    def _copy(self, leaf: Tensor) -> str | None:
        """The attribute of a module that was computed from this."""
        for module in self._modules:
            for name, value in attributes(module).items():
                if is_a(value, Tensor) and value.requires_grad and made_of(value) is leaf:
                    return f"({type(module).__name__}.{name})"
        return None

    def _name(self, p: Tensor) -> str:
        """What it is called where the user has no variable for it."""
        owner = self._owners.get(id(p))
        if owner is None:
            return self._copy(p) or f"one of shape {tuple(p.shape)}"
        root = self._root(owner)
        own = next((name for name, one in named_parameters(root) if one is p), "one")
        return f"{own} of {type(root).__name__}"


def _is_torchs(module: Any) -> bool:
    """Whether a module's class is torch's own, such as nn.Linear."""
    return type(module).__module__.startswith("torch.")
