"""Graphs that layers keep, or their hooks: in what no line of the loop names."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

from companion.isolation.objects import attributes, is_a
from companion.records.line import Event
from companion.tracing.events.graph import number_of
from companion.tracing.events.keeping import nodes_in, terms
from companion.tracing.measure.modules import TORCHS_OWN, named_modules

_CONTAINERS = frozenset({list, dict, deque})
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def hoards(networks: Mapping[str, nn.Module], events: Sequence[Event]) -> Iterator[Event]:
    """A line has ended that ran a network: the graphs that are kept in and around its layers."""
    for network in dict.fromkeys(event.name for event in events if event.kind == "forward"):
        seen: set[int] = set()
        for name, value in _around(network, networks[network]) if network in networks else ():
            kind = "" if is_a(value, Tensor) else type(value).__name__
            if id(value) in seen or (kind and type(value) not in _CONTAINERS):
                continue
            seen.add(id(value))
            nodes = [*nodes_in(value)]
            if not kind:  # a sum, it may be
                nodes = [(term, 1.0) for node, _ in nodes for term in terms(node)]
            found = [(number_of(node) or 0, weight) for node, weight in nodes]
            if found:
                details = {
                    "length": round(sum(weight for _, weight in found)),
                    "oldest": min(found)[0], "newest": max(found)[0],
                    "within": kind, "by_layer": True,
                }  # fmt: skip
                yield Event("graph kept", name, details)


def _around(network: str, net: nn.Module) -> Iterator[tuple[str, Any]]:
    """What its modules hold beside what torch gives each, and what their hooks can reach."""
    for module_name, module in named_modules(net):
        inside = attributes(module)
        own = f"{network}.{module_name}".rstrip(".")
        for key, value in [*inside.items()]:  # another thread may set more meanwhile
            if key not in TORCHS_OWN:
                yield f"{own}.{key}", value
        for kind in _HOOKS:
            hooks = inside.get(kind)
            for hook in [*dict.values(hooks)] if is_a(hooks, dict) else ():
                yield from _reached(hook)


def _reached(hook: object) -> Iterator[tuple[str, Any]]:
    """What a hook may fill: variables of the functions around it, globals, its own object's."""
    named: list[tuple[str, Any]] = []
    if is_a(hook, partial):
        named += [("what a hook is given", one) for one in hook.args]
        hook = hook.func
    if type(hook) is MethodType:
        named.append((type(hook.__self__).__name__, hook.__self__))
        hook = hook.__func__
    if type(hook) is FunctionType:
        code = hook.__code__
        cells = zip(code.co_freevars, map(_content, hook.__closure__ or ()), strict=False)
        named += [*cells, *((one, hook.__globals__.get(one)) for one in code.co_names)]
    for name, value in named:
        yield name, value
        if not is_a(value, nn.Module) and not is_a(value, Tensor):
            yield from ((f"{name}.{key}", one) for key, one in [*attributes(value).items()])


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return None
