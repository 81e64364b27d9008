"""The parameters and modules of the watched networks, by name, asked for again after every line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from companion.watched import Watched


class Tree:
    """Names the parameters and modules of several networks; a tied parameter has its first name.

    A line may replace a Parameter object, or add and remove layers. Walking a network and
    building its names costs more than all else that a line without effect does, so the walk is
    kept, and `refresh` only checks that it still holds.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._cachable = all(map(_is_ordinary, self._all_modules()))
        self._walk()

    def _all_modules(self) -> Iterator[nn.Module]:
        for net in self._watched.networks.values():
            yield from net.modules()

    def _walk(self) -> None:
        self.parameters: dict[str, nn.Parameter] = {}
        self.modules: dict[str, nn.Module] = {}
        seen: set[int] = set()
        for name, net in self._watched.networks.items():
            prefix = self._watched.prefix(name)
            for parameter_name, parameter in net.named_parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    self.parameters[prefix + parameter_name] = parameter
            for module_name, module in net.named_modules():
                self.modules[(prefix + module_name).rstrip(".")] = module
        modules = list(self.modules.values())
        self._children = [(m._modules, tuple(m._modules.values())) for m in modules]
        self._own = [(m._parameters, tuple(m._parameters.values())) for m in modules]

    def refresh(self) -> bool:
        """Walk again if the networks' layers or Parameter objects are not the same any more."""
        if self._cachable and all(map(_holds, self._children)) and all(map(_holds, self._own)):
            return False
        self._cachable = self._cachable and all(map(_is_ordinary, self._all_modules()))
        self._walk()
        return True


def _holds(entry: tuple[dict[str, Any], tuple[Any, ...]]) -> bool:
    now, then = entry
    if len(now) != len(then):
        return False
    for a, b in zip(now.values(), then):  # noqa: B905, SIM110  # strict and all() cost time here
        if a is not b:
            return False
    return True


def _is_ordinary(module: nn.Module) -> bool:
    """Whether its parameters and children stand in plain dicts, and are named in torch's way."""
    plain = type(module._parameters) is dict and type(module._modules) is dict
    named = type(module).named_parameters is nn.Module.named_parameters
    return plain and named and type(module).named_modules is nn.Module.named_modules
