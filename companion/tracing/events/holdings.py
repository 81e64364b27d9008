"""What an optimizer holds, and what a network hides: how the parameters are put together."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a
from companion.tracing.events.as_built import as_built
from companion.tracing.events.finite import lost_eps
from companion.tracing.measure.modules import (
    TORCHS_OWN,
    named_modules,
    named_parameters,
    parameters,
)
from companion.tracing.measure.values import is_lazy, is_plain
from companion.tracing.measure.watched import alive, groups, held

MOST = 10_000  # entries of plain containers that are looked at: one may hold a whole data set
_CONTAINERS = (list, tuple, dict, OrderedDict, defaultdict)  # and no type of the user's own


def step_details(
    optimizer: Optimizer, watched: Mapping[str, Tensor], loose: Iterable[str] = ()
) -> dict[str, Any]:
    """Which of the watched parameters an optimizer holds; how many others, without a gradient.

    Those that are `loose`, in no network, are among the others as well.
    """
    mine = held(optimizer)
    beside = tuple(name for name in loose if name in watched and id(watched[name]) in mine)
    watched = {name: p for name, p in watched.items() if name not in beside}
    names = tuple(name for name, p in watched.items() if mine.pop(id(p), None) is not None)
    # One that was replaced has the shape of the one in its place, or of another that is not held.
    held_names = set(names)
    others = [p for name, p in watched.items() if name not in held_names and _has_shape(p)]
    same, tails = {p.shape for p in others}, {p.shape[1:] for p in others if p.dim() > 1}
    idle = [
        p
        for p in mine.values()
        if _has_shape(p)
        and (not p.is_leaf or p.grad is None)
        and (p.shape in same or (p.dim() > 1 and p.shape[1:] in tails))
    ]
    details = {"held": names + beside, "idle": len(idle), "eps": lost_eps(optimizer)}
    if idle:
        # As many were replaced as the networks have that are not held: it was built from all.
        whole = len(mine) == len(others) and all(
            not p.is_leaf or p.grad is None for p in mine.values()
        )
        details["optimizer"] = as_built(optimizer) if whole else None
    return details


class Holdings:
    """`step_details` of each optimizer, found out anew only when it holds others than before."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, list[int], dict[str, Any]]] = {}

    def of(
        self, optimizer: Optimizer, parameters: Mapping[str, Tensor], loose: Iterable[str]
    ) -> dict[str, Any]:
        """What it holds of the networks' parameters; a dict of its own."""
        ids = [id(p) for group in groups(optimizer) for p in _listed(group)]
        known = self._known.get(id(optimizer))
        if known is None or known[0] is not parameters or known[1] != ids or known[2]["idle"]:
            known = parameters, ids, step_details(optimizer, parameters, loose)
            self._known[id(optimizer)] = known
        return dict(known[2])

    def clear(self) -> None:
        """Keep nothing alive."""
        self._known.clear()


def _listed(group: Mapping[str, Any]) -> list[Any]:
    params = group.get("params")
    return params if type(params) is list else []


def wrapper_of(optimizer: Optimizer, watched: Mapping[str, Optimizer]) -> str | None:
    """The watched optimizer that is only a shell around this one, and has no hooks itself."""
    mine = held(optimizer).keys()
    return next(
        (
            name
            for name, one in watched.items()
            if "_optimizer_step_post_hooks" not in attributes(one) and held(one).keys() == mine
        ),
        None,
    )


def unregistered(
    networks: Mapping[str, nn.Module], optimizers: Iterable[Optimizer]
) -> tuple[str, ...]:
    """Parameters with a gradient in plain lists and dicts of modules, held by nobody.

    Example:
        >>> import torch
        >>> net = nn.Linear(2, 2)
        >>> net.blocks = [nn.Linear(2, 1)]
        >>> net.blocks[0](net(torch.ones(1, 2))).sum().backward()
        >>> unregistered({"net": net}, [])
        ('blocks[0].weight', 'blocks[0].bias')
    """
    known = {id(p) for net in networks.values() for p in parameters(net)}
    for optimizer in optimizers:
        known.update(held(optimizer))
    left = iter(range(MOST))
    found = (
        (path, p)
        for net in networks.values()
        for name, module in named_modules(net)
        for attribute, value in attributes(module).items()
        if type(value) in _CONTAINERS and attribute not in TORCHS_OWN
        for path, p in _inside(f"{name}.{attribute}".lstrip("."), value, (), left)
    )
    hidden = [(path, p) for path, p in found if id(p) not in known and p.grad is not None]
    if hidden:  # held by an optimizer that nobody named?
        elsewhere = {number for optimizer in alive(Optimizer) for number in held(optimizer)}
        hidden = [(path, p) for path, p in hidden if id(p) not in elsewhere]
    return tuple(path for path, _ in hidden)


def _has_shape(p: Tensor) -> bool:
    """Not a lazy one, nor one whose type alone knows its shape."""
    return is_plain(p) and not is_lazy(p) and not p.is_nested


def _inside(
    path: str, value: Any, around: tuple[int, ...], left: Iterator[int]
) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters in a container of modules and parameters, and in its containers.

    `around` are the containers that it stands in, by id; `left` counts what may be looked at.
    """
    if is_a(value, nn.Parameter):
        yield path, value
    elif is_a(value, nn.Module):
        for name, p in named_parameters(value):
            yield f"{path}.{name}", p
    elif type(value) in _CONTAINERS and id(value) not in around:
        pairs = dict.items(value) if is_a(value, dict) else enumerate(value)
        for key, one in pairs:
            if next(left, None) is None:
                return
            if type(one) in _CONTAINERS or is_a(one, nn.Module) or is_a(one, nn.Parameter):
                place = repr(key) if type(key) in (str, int) else type(key).__name__
                yield from _inside(f"{path}[{place}]", one, (*around, id(value)), left)
