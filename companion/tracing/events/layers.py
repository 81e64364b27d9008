"""Layers as they are called, one after the other: where one gets nothing of the one before.

A layer is a module with parameters of its own. Its inputs are seen as it is called; what it gives
is not, but for the next layer's inputs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from companion.isolation.objects import attributes, is_a
from companion.isolation.wall import is_calm
from companion.records.line import Event
from companion.records.reading import Reading
from companion.tracing.code.at_times import is_cut_at_times
from companion.tracing.measure.modules import named_modules
from companion.tracing.measure.values import has_values, is_lazy, is_plain

CALL = inspect.unwrap(nn.Module.__call__).__code__
LEAST = 64  # entries that are all 0; fewer may be so by chance


class Layers:
    """Follows the calls of the layers of the watched networks, and keeps none of their tensors."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        several = len(networks) > 1
        self._names: dict[int, str] = {}
        for network, net in networks.items():
            for name, module in named_modules(net):
                if attributes(module).get("_parameters"):
                    path = ".".join(filter(None, [network if several else "", name]))
                    self._names.setdefault(id(module), path)
        self._networks = {id(net) for net in networks.values()}
        self._last: str | None = None  # the layer called before, in the same forward
        self._blank = False  # it was given nothing but zeros itself, and is not dead for that
        self._sizes: set[int] = set()  # of its outputs
        self._given: set[int] = set()  # the storages of what the network was called with
        self._without: set[str] = set()  # layers whose gradients the last backward left at 0
        self.listens = False  # one of those that are to learn got nothing at the last backward

    def note_gradients(
        self, gradients: Mapping[str, Reading | None], wanted: Mapping[str, bool]
    ) -> None:
        """A backward is over; which parameters want a gradient."""
        moved: dict[str, bool] = {}
        for name, reading in gradients.items():
            if reading is not None:
                layer = name.rpartition(".")[0]
                moved[layer] = moved.get(layer, False) or reading.norm != 0
        self._without = {layer for layer, any_moved in moved.items() if not any_moved}
        self.listens = bool(self._without) or any(
            reading is None and wanted.get(name) for name, reading in gradients.items()
        )

    def called(self, frame: FrameType) -> Event | None:
        """A module is called; torch's own code, whose variables may be looked at as they are."""
        module = frame.f_locals.get("self")
        number = id(module)
        if number in self._networks:
            self._last = None
            self._given = {_storage(one) for one in _tensors(frame.f_locals, deep=True)}
        name = self._names.get(number)
        if name is None:
            return None
        found = None
        graded = torch.is_grad_enabled()
        held = attributes(module).get("_parameters")
        own = [p for p in held.values() if is_a(p, Tensor)] if type(held) is dict else []
        own = [p for p in own if is_plain(p) and not is_lazy(p)]
        sizes = {p.shape[0] for p in own if p.dim()}
        if graded and self._last is not None:
            found = self._between(self._last, name, sizes, list(_tensors(frame.f_locals)))
            if found is not None and found.kind == "cut between" and is_cut_at_times(frame):
                found = None
        self._last = name if graded and any(p.requires_grad for p in own) else None
        self._sizes = sizes
        self._blank = name in self._without and is_calm() and _is_blank(frame.f_locals)
        return found

    def _between(self, last: str, name: str, sizes: set[int], inputs: list[Tensor]) -> Event | None:
        if not inputs:
            return None
        if not any(one.requires_grad for one in inputs):
            fits = any(
                math.prod(one.shape[1:]) % size == 0
                if one.is_floating_point()
                else size in sizes  # such as an embedding of what was chosen
                for one in inputs
                for size in self._sizes
                if size > 1
            )
            fresh = self._given.isdisjoint(map(_storage, inputs))
            return Event("cut between", last, {"into": name}) if fits and fresh else None
        if last in self._without and not self._blank and is_calm():
            one = inputs[0]
            large = one.requires_grad and one.numel() >= LEAST and has_values(one)
            if large and not one.detach().count_nonzero().item():
                return Event("all zero", last, {"into": name, "entries": one.numel()})
        return None


def _tensors(local: Mapping[str, Any], *, deep: bool = False) -> Iterator[Tensor]:
    """The plain tensors that a module is called with; with `deep` also those in containers."""
    args, kwargs = local.get("args"), local.get("kwargs")
    values: list[Any] = [*args] if type(args) is tuple else []
    values += [*kwargs.values()] if type(kwargs) is dict else []
    for value in values:
        inner: Iterable[Any] = (value,)
        if deep and type(value) in (list, tuple):
            inner = value
        elif deep and type(value) is dict:
            inner = [*value.values()]
        for one in inner:
            if is_a(one, Tensor) and is_plain(one) and not is_lazy(one) and not one.is_nested:
                yield one


def _is_blank(local: Mapping[str, Any]) -> bool:
    """Whether all that a module is called with is 0."""
    given = list(_tensors(local))
    return bool(given) and all(
        has_values(one) and not one.detach().count_nonzero().item() for one in given
    )


def _storage(tensor: Tensor) -> int:
    if tensor.layout == torch.strided and torch._C._has_storage(tensor):
        number: int = tensor.untyped_storage()._cdata
        return number
    return id(tensor)
