"""What a trace watches: networks, optimizers and a GradScaler, each under a name."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a
from companion.tracing.measure.modules import named_parameters, parameters
from companion.tracing.measure.values import is_lazy, is_plain

Watchable: TypeAlias = nn.Module | Optimizer | GradScaler
T = TypeVar("T")


class Watched:
    """Networks, optimizers and scaler by name, found fit to be traced together.

    Args:
        objects: What the user gave, or one mapping from names to it.
        names: Names that the caller has for objects (its local variables).
        others: Networks that only take part, by name; their tensors are watched, and no more.
        state: Whether the optimizers' own tensors are watched, such as momentum buffers.

    Raises:
        TypeError: For anything that is neither a network, an optimizer nor a GradScaler.
        ValueError: If there is no network, one without parameters, or an optimizer that holds
            parameters like those of the networks, and none of them.
    """

    def __init__(
        self,
        objects: tuple[Watchable | Mapping[str, Watchable], ...],
        names: Mapping[str, Any],
        others: Mapping[str, nn.Module] = MappingProxyType({}),
        *,
        state: bool = False,
    ) -> None:
        named = _named(objects, names)
        self.networks = {n: o for n, o in named.items() if is_a(o, nn.Module)}
        self.optimizers = {n: o for n, o in named.items() if is_a(o, Optimizer)}
        scalers = [o for o in named.values() if is_a(o, GradScaler)]
        self.scaler = scalers[0] if scalers else None
        for name, one in named.items():
            if not issubclass(type(one), (nn.Module, Optimizer, GradScaler)):
                raise TypeError(
                    "trace() takes networks (torch.nn.Module), optimizers "
                    f"(torch.optim.Optimizer) and a GradScaler, not {type(one).__name__} ({name!r})"
                )
        if not self.networks:
            raise TypeError("trace() needs the network, a torch.nn.Module: trace(net, optimizer)")
        if len(scalers) > 1:
            raise TypeError(f"trace() takes one GradScaler, not {len(scalers)}")
        for net in self.networks.values():
            if not any(True for _ in parameters(net)):
                raise ValueError(
                    f"{type(net).__name__} has no parameters, so there is nothing to trace; "
                    "layers kept in a plain list are not registered: use nn.ModuleList or "
                    "nn.Sequential"
                )
        self._check_optimizers()
        self.loose = self._beside_the_networks(names)
        self.others = dict(others)
        self.has_state = state

    def _beside_the_networks(self, names: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the optimizers hold that is in no network, by name.

        The name is the caller's variable, or the parameter's in a network of the caller's, after
        the optimizer's or network's own: "optimizer.log_alpha", "critic.fc.bias"; without either,
        its place in the optimizer: "optimizer.params[3]".
        """
        ours = {id(p) for net in self.networks.values() for p in parameters(net)}
        theirs = {
            (name, i): p
            for name, optimizer in self.optimizers.items()
            for i, p in enumerate(parameters_of(optimizer))
        }
        beside = {key: p for key, p in theirs.items() if id(p) not in ours}
        if not beside:
            return {}
        variables = {id(one): name for name, one in names.items() if is_a(one, Tensor)}
        inside = {
            id(p): f"{network}.{name}"
            for network, net in names.items()
            if is_a(net, nn.Module)
            for name, p in named_parameters(net)
        }
        found: dict[str, Tensor] = {}
        for (optimizer, i), p in beside.items():
            own = variables.get(id(p), f"params[{i}]")
            found[inside.get(id(p), f"{optimizer}.{own}")] = p
        return found

    def _check_optimizers(self) -> None:
        ours = {id(p): p for net in self.networks.values() for p in parameters(net)}
        for optimizer in self.optimizers.values():
            theirs = held(optimizer)
            # An image, a prompt or a latent to be optimised has a shape of its own.
            if ours.keys().isdisjoint(theirs) and _shapes(ours) & _shapes(theirs):
                whose = " or this ".join(type(net).__name__ for net in self.networks.values())
                raise ValueError(
                    f"this {type(optimizer).__name__} holds none of the {len(ours)} parameters of "
                    f"this {whose}, so its step() can never move them; build the optimizer "
                    "from this network: it takes net.parameters()"
                )

    def left(self, others: int) -> set[str]:
        """The names of networks and optimizers that nobody but us holds: they were to be freed.

        Args:
            others: How many more references to a network there are of ours.
        """
        networks, optimizers = _holders(self.networks), _holders(self.optimizers)
        if min(networks, default=0) > _ALONE + others and min([*optimizers, math.inf]) > _ALONE:
            return set()
        left = {
            name for name, n in zip(self.networks, networks, strict=True) if n <= _ALONE + others
        }
        return left | {n for n, m in zip(self.optimizers, optimizers, strict=True) if m <= _ALONE}

    def let_go(self) -> None:
        """Hold nothing any more."""
        self.networks, self.optimizers, self.scaler = {}, {}, None
        self.loose, self.others = {}, {}

    def take_up(self, other: Watched, names: Mapping[int, str]) -> bool:
        """Hold the same again under the names that they had, by id; whether they are the same."""
        mine: list[dict[str, Any]] = [
            {names.get(id(one), name): one for name, one in these.items()}
            for these in (other.networks, other.optimizers, other.others)
        ]
        found = {id(one) for these in mine for one in these.values()}
        if found != set(names) or (other.loose and mine[1] != other.optimizers):
            return False
        self.networks, self.optimizers, self.others = mine
        self.scaler, self.loose = other.scaler, other.loose
        return True

    @property
    def title(self) -> str:
        """The class of the only network, or the names of several."""
        if len(self.networks) == 1:
            return type(next(iter(self.networks.values()))).__name__
        return ", ".join(self.networks)

    def prefix(self, network: str) -> str:
        """What stands before the names of a network's parameters: nothing if it is the only one."""
        return f"{network}." if len(self.networks) > 1 else ""


def _holders(ours: Mapping[str, Any]) -> list[int]:
    """How many references each has."""
    return [sys.getrefcount(one) for one in ours.values()]


_ALONE = _holders({"": object()})[0]


def alive(kind: type[T]) -> list[T]:
    """Every living object of a kind. The type is asked, not the object: proxies may run code."""
    return [one for one in gc.get_objects() if is_a(one, kind)]


def _shapes(tensors: Mapping[int, Tensor]) -> set[torch.Size]:
    shapes = set()
    for tensor in tensors.values():
        if is_plain(tensor) and not is_lazy(tensor) and not tensor.is_nested:
            shapes.add(tensor.shape)
    return shapes


def groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    """The optimizer's parameter groups; of a wrapper those of the optimizer inside it.

    A wrapper may have its own way to hand them out, which is not asked.
    """
    inner: Any = optimizer
    for _ in range(4):
        kept = attributes(inner)
        found = kept.get("param_groups")
        if found is not None:
            return [group for group in found if is_a(group, dict)] if is_a(found, list) else []
        inner = next((one for one in kept.values() if is_a(one, Optimizer)), None)
    return []


def held(optimizer: Optimizer) -> dict[int, Tensor]:
    """The optimizer's parameters, by id."""
    return {id(p): p for p in parameters_of(optimizer)}


def parameters_of(optimizer: Optimizer) -> Iterator[Tensor]:
    """The optimizer's parameters, in its order."""
    for group in groups(optimizer):
        params = group.get("params")
        if type(params) is list:  # torch makes one of what it is given
            yield from (p for p in params if is_a(p, Tensor))


def state_of(optimizer: Optimizer) -> Iterator[tuple[Tensor, str, Tensor]]:
    """What an optimizer keeps for its parameters: the parameter, a name, and the tensor.

    Example:
        >>> p = nn.Parameter(torch.ones(2))
        >>> sgd = torch.optim.SGD([p], lr=0.1, momentum=0.9)
        >>> p.grad = torch.ones(2)
        >>> sgd.step()
        >>> [(name, kept.tolist()) for _, name, kept in state_of(sgd)]
        [('momentum_buffer', [1.0, 1.0])]
    """
    state = attributes(optimizer).get("state")
    for parameter, kept in [*dict.items(state)] if is_a(state, dict) else ():
        if is_a(parameter, Tensor) and is_a(kept, dict):
            for name, tensor in dict.items(kept):
                if is_a(tensor, Tensor):
                    yield parameter, str(name), tensor


def _named(
    objects: tuple[Watchable | Mapping[str, Watchable], ...], names: Mapping[str, Any]
) -> dict[str, Watchable]:
    """Each object once, under the caller's own name for it, or its class's."""
    own = [(n, value) for n, value in names.items() if type(n) is str and n[:1] != "_"]
    mine = {id(value): name for name, value in reversed(own)}
    named: dict[str, Watchable] = {}
    for one in objects:
        if isinstance(one, Mapping) and not is_a(one, nn.Module):
            pairs = list(one.items())
        else:
            pairs = [(mine.get(id(one)) or type(one).__name__, one)]
        for name, value in pairs:
            if any(value is other for other in named.values()):
                continue
            unique, count = str(name), 2
            while unique in named:
                unique, count = f"{name}_{count}", count + 1
            named[unique] = value
    return named
