"""The networks, optimizers and scaler of a running program, by the user's names for them."""

from __future__ import annotations

import weakref
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from types import FrameType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.optimizer import Optimizer

from companion.command.scout.called import NOWHERE, called
from companion.command.scout.forwards import CALL
from companion.command.scout.lasting import passing
from companion.isolation.objects import attributes, is_a
from companion.tracing.code.frames import local_variables
from companion.tracing.events.around import snapshot
from companion.tracing.measure.modules import named_modules, parameters
from companion.tracing.measure.seen import MOST_BYTES
from companion.tracing.measure.values import is_lazy, is_plain
from companion.tracing.measure.watched import Watchable, Watched, alive, held

MOST_SNAPSHOTS = 4  # each looks at all living objects


class Found:
    """Networks, optimizers and scaler of a running program, by the user's names for them.

    They are told by their ids: some cannot be hashed, or would be compared by their own code.

    Attributes:
        changes: How often something new was found.
        built: What parameters there were when an optimizer was built, by its id; see `snapshot`.
    """

    def __init__(self) -> None:
        self.optimizers: dict[int, weakref.ref[Optimizer]] = {}
        self.forwarded: dict[int, weakref.ref[nn.Module]] = {}
        self.changes = 0
        self.built: dict[int, dict[int, bool]] = {}
        self._beside: set[int] = set()  # what was said to take part, by id

    def add_optimizer(self, optimizer: Optimizer) -> None:
        """An optimizer is being built."""
        self.optimizers[id(optimizer)] = weakref.ref(optimizer)
        self.built.pop(id(optimizer), None)
        if len(self.built) < MOST_SNAPSHOTS:
            self.built[id(optimizer)] = snapshot()
        self.changes += 1

    def add_network(self, network: nn.Module) -> None:
        """A network is called."""
        if not _has(self.forwarded, network) and any(p.requires_grad for p in parameters(network)):
            self.forwarded[id(network)] = weakref.ref(network)
            self.changes += 1

    def knows(self, optimizer: object) -> bool:
        """Whether it was seen how this was built."""
        return _has(self.optimizers, optimizer)

    def belongs(self, network: nn.Module) -> bool:
        """Whether some optimizer holds a parameter of the network."""
        living = [one for one in (known() for known in self.optimizers.values()) if one is not None]
        return _is_held(network, _all_held(filter(_is_built, living)))

    def begins(self, frame: FrameType) -> bool:
        """Whether a call is the training's first: a forward, a step, a clearing, a schedule."""
        owner = frame.f_locals.get("self")
        if frame.f_code is CALL:
            if not torch.is_grad_enabled() or not is_a(owner, nn.Module):
                return False
            self.add_network(owner)
            return bool(self.optimizers) and self.belongs(owner)
        if is_a(owner, Optimizer):
            return self.knows(owner)
        return self.knows(attributes(owner).get("optimizer")) and bool(
            frame.f_back is not None and frame.f_back.f_code.co_name != "_initial_step"
        )

    def named(self, frames: list[FrameType]) -> dict[str, Watchable]:
        """All that is to be watched; `frames` are the user's, outermost first."""
        optimizers = list(filter(_is_built, alive(Optimizer)))
        everything = _all_held(optimizers)
        networks = [
            one
            for one in alive(nn.Module)
            if "_modules" in attributes(one)
            and (_has(self.forwarded, one) or _is_held(one, everything))
        ]
        outermost = _outermost(networks)
        if gone := {id(one) for one in passing(outermost, networks, frames)}:
            outermost = _outermost([one for one in networks if id(one) not in gone])
        ours = {id(p) for net in outermost for p in parameters(net)}
        fitting = [o for o in optimizers if not ours.isdisjoint(held(o))]
        scalers = [s for s in alive(GradScaler) if attributes(s).get("_enabled") is True][:1]
        names = _names(frames)
        named: dict[str, Watchable] = {}
        everything_named: list[Watchable] = [*outermost, *fitting, *scalers]
        for one in everything_named:
            name = names.get(id(one), type(one).__name__)
            while name in named:
                name += "_"
            named[name] = one
        return named

    def watched(self, frames: list[FrameType]) -> tuple[Watched | None, list[str]]:
        """The same, fit to be traced together, and the names of what is too large for it."""
        named = self.named(frames) if frames else {}
        if not any(isinstance(one, nn.Module) for one in named.values()):
            return None, []
        names = variables(frames)
        beside, large = others(names, named, frames, self._beside)
        self._beside.update(map(id, beside.values()))
        return Watched((named,), names, beside), large


def _has(known: Mapping[int, weakref.ref[Any]], one: object) -> bool:
    found = known.get(id(one))
    return found is not None and found() is one


def _is_built(optimizer: Optimizer) -> bool:
    """Whether torch's own `__init__` has been through: not for a wrapper, nor one that failed."""
    return {"param_groups", "_optimizer_step_post_hooks"} <= attributes(optimizer).keys()


def _all_held(optimizers: Iterable[Optimizer]) -> set[int]:
    return {number for optimizer in optimizers for number in held(optimizer)}


def _is_held(network: nn.Module, numbers: set[int]) -> bool:
    return any(id(p) in numbers for p in parameters(network))


def _outermost(networks: list[nn.Module]) -> list[nn.Module]:
    """Those with trainable parameters that are no part of another one; criteria drop out.

    Where all is frozen it is those with parameters: backward raises there.
    """
    parts = {id(m) for net in networks for _, m in named_modules(net) if m is not net}
    whole = [net for net in networks if id(net) not in parts]
    trained = [net for net in whole if any(p.requires_grad for p in parameters(net))]
    return trained or [net for net in whole if any(True for _ in parameters(net))]


def variables(frames: list[FrameType]) -> dict[str, Any]:
    """The user's variables, and the attributes of `self`; those of inner frames come first."""
    found: dict[str, Any] = {}
    for frame in frames:
        local = local_variables(frame)
        for name, value in [*attributes(local.get("self")).items(), *local.items()]:
            if type(name) is str and not name.startswith("_") and name != "self":
                found[name] = value
    return found


def others(
    names: Mapping[str, Any],
    watched: Mapping[str, Watchable],
    frames: Sequence[FrameType],
    before: Container[int],
) -> tuple[dict[str, nn.Module], list[str]]:
    """Networks that only take part: the user names them, and no optimizer holds them.

    Of those that share modules, such as a network and its first layers, it is the one that was
    chosen `before`, or that the code of the `frames` calls, or the first.

    Returns:
        Those to be watched, and the names of those that are too large for it.
    """
    networks = [one for one in watched.values() if is_a(one, nn.Module)]
    known = {id(module) for net in networks for _, module in named_modules(net)}
    found: dict[str, nn.Module] = {}
    large = []
    named = [
        (name, one, modules)
        for name, one in _all_named(names)
        if is_a(one, nn.Module)
        and known.isdisjoint(modules := {id(module) for _, module in named_modules(one)})
    ]
    if sum(len(ids) for _, _, ids in named) > len(set().union(*(ids for _, _, ids in named))):
        calls = called(frames)
        named.sort(key=lambda each: (id(each[1]) not in before, calls.get(each[0], NOWHERE)))
    for name, one, modules in named:
        if known.isdisjoint(modules):
            known |= modules
            size = sum(p.nbytes for p in parameters(one) if is_plain(p) and not is_lazy(p))
            if 0 < size <= MOST_BYTES:
                found[name] = one
            elif size:
                large.append(name)
    return found, large


def _all_named(names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the user names, and after it what plain objects of his hold, such as an `EMA`."""
    yield from names.items()
    for name, one in names.items():
        if type(type(one)) is type and not issubclass(type(one), _NOT_LOOKED_INTO):
            for attribute, value in [*attributes(one).items()][:MOST_ATTRIBUTES]:
                if is_a(value, nn.Module):
                    yield f"{name}.{attribute}", value


_NOT_LOOKED_INTO = (nn.Module, Optimizer, type, ModuleType, FunctionType)
MOST_ATTRIBUTES = 100


def _names(frames: list[FrameType]) -> dict[int, str]:
    """The user's variables, and the attributes of `self`, by the id of what they hold."""
    names: dict[int, str] = {}
    for frame in frames:
        names |= {id(value): name for name, value in variables([frame]).items()}
        own = attributes(local_variables(frame).get("self"))
        inside = own.get("_modules")
        for name, value in [*inside.items()] if type(inside) is dict else ():
            names.setdefault(id(value), name)
    return names
