"""The tensors and modules of the watched networks, by name, asked for again after every line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from companion.isolation.objects import attributes, is_a
from companion.tracing.measure.modules import (
    children,
    is_training,
    named_buffers,
    named_modules,
    named_parameters,
    own_buffers,
    own_parameters,
)
from companion.tracing.measure.watched import Watched, state_of


class Tree:
    """Names the tensors and modules of several networks; a tied parameter has its first name.

    After those of the networks stand the tensors that the optimizers hold beside them. A line may
    replace a Parameter object, or add and remove layers. Walking a network and building its names
    costs more than all else that a line without effect does, so the walk is kept, and `refresh`
    only checks that it still holds.

    Attributes:
        parameters: The parameters, by name.
        buffers: The buffers, by name; after them all that belongs to networks that only take part.
        others: The names of these.
        modules: The modules, by name.
        names: The names of the parameters, by the parameter's id.
        has_leaves_only: Whether all parameters are leaves, as they should be.
        has_odd: Whether some parameter is of a type that knows itself how it is read.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._cachable = all(map(_is_ordinary, self._all_modules()))
        self._walk()

    def _all_modules(self) -> Iterator[nn.Module]:
        for net in self._watched.networks.values():
            yield from (module for _, module in named_modules(net))

    def _walk(self) -> None:
        self.parameters: dict[str, Any] = {}
        self.modules: dict[str, nn.Module] = {}
        seen: set[int] = set()
        for name, net in self._watched.networks.items():
            prefix = self._watched.prefix(name)
            for parameter_name, parameter in named_parameters(net):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    self.parameters[prefix + parameter_name] = parameter
            for module_name, module in named_modules(net):
                self.modules[(prefix + module_name).rstrip(".")] = module
        for name, tensor in self._watched.loose.items():
            if id(tensor) not in seen:
                self.parameters[name] = tensor
        modules = list(self.modules.values())
        self._structure = _Held([*map(children, modules), *map(own_parameters, modules)])
        scripted = any(is_a(m, torch.jit.ScriptModule) for m in modules)
        self._kept = None if scripted else list(map(attributes, modules))
        self.names = {id(p): name for name, p in self.parameters.items()}
        self.has_leaves_only = all(p.is_leaf for p in self.parameters.values())
        self._walk_buffers()

    def _walk_buffers(self) -> None:
        """Their objects change more often: many an EMA makes a new one in each step."""
        self.buffers: dict[str, Tensor] = {}
        seen: set[int] = set()
        for name, net in self._watched.networks.items():
            prefix = self._watched.prefix(name)
            for buffer_name, buffer in named_buffers(net):
                if id(buffer) not in seen:
                    seen.add(id(buffer))
                    self.buffers[prefix + buffer_name] = buffer
        known = {*map(id, self.parameters.values()), *seen}
        self.others: set[str] = set()
        apart = [m for net in self._watched.others.values() for _, m in named_modules(net)]
        for name, net in self._watched.others.items():
            for own, tensor in [*named_parameters(net), *named_buffers(net)]:
                whole = f"{name}.{own}"
                if id(tensor) not in known and whole not in self.buffers:
                    known.add(id(tensor))
                    self.buffers[whole] = tensor
                    self.others.add(whole)
        self._walk_state()
        held = [*map(own_buffers, [*self.modules.values(), *apart]), *map(own_parameters, apart)]
        self._own_buffers = _Held(held)
        self.has_odd = any(
            type(one).__torch_dispatch__ is not Tensor.__torch_dispatch__
            for one in [*self.parameters.values(), *self.buffers.values()]
        )

    def _walk_state(self) -> None:
        """What the optimizers keep, after the names of their parameters."""
        for optimizer, one in self._watched.optimizers.items() if self._watched.has_state else ():
            for parameter, name, tensor in state_of(one):
                whole = f"{optimizer}.{self.names.get(id(parameter), 'params')}.{name}"
                self.buffers[whole] = tensor
                self.others.add(whole)

    def networks_buffers(self) -> list[str]:
        """The names of the networks' own buffers."""
        return [name for name in self.buffers if name not in self.others]

    def training(self) -> list[bool]:
        """Whether each module is in training mode."""
        if self._kept is None:
            return list(map(is_training, self.modules.values()))
        return [kept.get("training") is True for kept in self._kept]

    def refresh(self) -> bool:
        """Walk again if the networks' layers or Parameter objects are not the same any more."""
        if self._cachable and self._structure.is_as_it_was():
            if self._watched.has_state or not self._own_buffers.is_as_it_was():
                self._walk_buffers()
            return False
        self._cachable = self._cachable and all(map(_is_ordinary, self._all_modules()))
        self._walk()
        return True


class _Held:
    """What some dicts hold, told in one pass. The objects are kept, to be known again."""

    def __init__(self, dicts: Sequence[dict[str, Any]]) -> None:
        self._dicts = dicts
        self._views = list(map(dict.values, dicts))
        self._values = [*chain.from_iterable(self._views)]
        self._lengths = list(map(len, dicts))

    def is_as_it_was(self) -> bool:
        if list(map(len, self._dicts)) != self._lengths:
            return False
        return all(map(is_, chain.from_iterable(self._views), self._values))


def _is_ordinary(module: nn.Module) -> bool:
    """Whether its parameters and children stand in plain dicts."""
    return type(own_parameters(module)) is dict and type(children(module)) is dict
