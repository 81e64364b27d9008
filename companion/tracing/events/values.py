"""What a line bound to variables: the tensors and numbers there, and what their graphs reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from companion.isolation.objects import is_a
from companion.isolation.wall import is_calm
from companion.records.syntax import bound
from companion.records.value import Value
from companion.tracing.code.frames import local_variables, value_of
from companion.tracing.events.graph import Node, grad_fn, number_of
from companion.tracing.measure.values import has_values, is_lazy, is_plain, kernels_alone
from companion.tracing.place import Place

MOST_NODES = 20_000  # of a graph; a larger one is not looked through
MOST_KNOWN = 8  # graphs whose leaves are remembered, by number: a loss stands on its outputs


class Values:
    """Reads what lines bind, and keeps nothing of it alive."""

    def __init__(self) -> None:
        self._leaves: dict[int, tuple[frozenset[int], bool]] = {}
        self._wanted: tuple[Any, Any, dict[int, str] | None] = (None, None, None)

    def of(
        self, place: Place, parameters: Mapping[str, Tensor], requires_grad: Mapping[str, bool]
    ) -> tuple[Value, ...]:
        """What a statement that has ended well bound.

        Args:
            place: Where it stands; a loop that has come to its end bound nothing.
            parameters: The watched parameters, by name.
            requires_grad: Which of them require a gradient.
        """
        names = bound(place.current.text)
        if not names or not is_calm():
            return ()
        found = []
        local = local_variables(place.frame)
        for name, is_loop in names:
            if is_loop and not place.entered:
                continue
            value = value_of(name, place.frame, local)
            if is_a(value, Tensor):
                found.append(self._tensor(name, value, parameters, requires_grad))
            elif type(value) in (int, float) and not is_loop:
                found.append(Value(name, type(value).__name__, number=_float(value)))
        return tuple(found)

    def forget(self) -> None:
        """Know no parameter any more."""
        self._leaves.clear()
        self._wanted = (None, None, None)

    def _tensor(
        self,
        name: str,
        tensor: Tensor,
        parameters: Mapping[str, Tensor],
        requires_grad: Mapping[str, bool],
    ) -> Value:
        dtype = _dtype(tensor.dtype)
        if not is_plain(tensor) or is_lazy(tensor) or tensor.is_nested:
            return Value(name, dtype)
        node = grad_fn(tensor)
        unreached = None
        if node is not None:
            wanted = self._names(parameters, requires_grad)
            unreached = None if wanted is None else self._unreached(node, wanted)
        return Value(
            name, dtype, tuple(tensor.shape), *numbers_in(tensor), node is not None, unreached
        )

    def _names(
        self, parameters: Mapping[str, Tensor], requires_grad: Mapping[str, bool]
    ) -> dict[int, str] | None:
        """The names of those that a backward can reach, by id; None where one is no plain leaf."""
        if self._wanted[0] is not parameters or self._wanted[1] is not requires_grad:
            wanted = [(n, p) for n, p in parameters.items() if requires_grad.get(n)]
            plain = all(p.is_leaf and is_plain(p) for _, p in wanted)
            names = {id(p): n for n, p in wanted} if plain else None
            self._wanted = parameters, requires_grad, names
        return self._wanted[2]

    def _unreached(self, root: Node, wanted: Mapping[int, str]) -> tuple[str, ...] | None:
        leaves, is_sure = self._leaves_of(root)
        missing = tuple(name for key, name in wanted.items() if key not in leaves)
        # A leaf that nobody knows may stand for some of them: FSDP puts others in their place.
        is_sure = is_sure and leaves <= wanted.keys()
        return None if missing and not is_sure else missing

    def _leaves_of(self, root: Node) -> tuple[frozenset[int], bool]:
        """The leaves that a graph reaches, by id, and whether these are surely all."""
        leaves: set[int] = set()
        is_sure = True
        todo, seen = [root], {root}
        for node in todo:
            known = self._leaves.get(node._sequence_nr()) if self._leaves else None
            if known is not None:
                leaves |= known[0]
                is_sure &= known[1]
                continue
            if (leaf := leaf_of(node)) is not None:
                leaves.add(id(leaf))
                continue
            if is_a(node, torch.autograd.function.BackwardCFunction):
                is_sure = False  # a checkpoint, or a function that knows its parameters itself
            for below, _ in node.next_functions:
                if below is not None and below not in seen:
                    seen.add(below)
                    todo.append(below)
            if len(todo) > MOST_NODES:
                return frozenset(leaves), False
        found = frozenset(leaves), is_sure
        number = number_of(root)
        if number is not None:
            while len(self._leaves) >= MOST_KNOWN:
                del self._leaves[next(iter(self._leaves))]
            self._leaves[number] = found
        return found


def _leaf_type() -> Any:
    with torch.enable_grad():
        return type(torch.ones(1, requires_grad=True).view(1).grad_fn.next_functions[0][0])  # type: ignore[union-attr]


_LEAF = _leaf_type()
_variable = _LEAF.variable.__get__


def leaf_of(node: Node) -> Tensor | None:
    """The leaf whose gradient a node gathers; None for every other node."""
    return _variable(node) if type(node) is _LEAF else None


@cache
def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _float(number: int | float) -> float | None:
    try:
        return float(number)
    except OverflowError:
        return None


def numbers_in(tensor: Tensor) -> tuple[float | None, int | None]:
    """The value of a tensor's only entry, and how many entries are not finite."""
    if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized:
        return None, None
    if tensor.is_mkldnn or not has_values(tensor):
        return None, None
    if tensor.numel() == 1:
        number = _float(tensor.item())
        return number, None if number is None else int(not math.isfinite(number))
    if not tensor.is_floating_point() or tensor.itemsize == 1:
        return None, None if tensor.is_floating_point() else 0
    with kernels_alone():
        if not tensor.numel() or math.isfinite(tensor.sum().item()):
            return None, 0
    return None, int((~tensor.detach().isfinite()).sum().item())
