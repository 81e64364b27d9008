"""What an optimizer holds, and what a network hides: how the parameters are put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim.optimizer import Optimizer

from companion.watched import alive, held

_TORCHS_OWN = set(vars(nn.Module()))


def step_details(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Any]:
    """Which of the watched parameters an optimizer holds; how many others, without a gradient."""
    mine = held(optimizer)
    names = tuple(name for name, p in parameters.items() if mine.pop(id(p), None) is not None)
    # One that was replaced has the shape of the one in its place, or of another that is not held.
    held_names = set(names)
    others = [p for name, p in parameters.items() if name not in held_names]
    same, tails = {p.shape for p in others}, {p.shape[1:] for p in others if p.dim() > 1}
    idle = [
        p
        for p in mine.values()
        if p.grad is None and (p.shape in same or (p.dim() > 1 and p.shape[1:] in tails))
    ]
    return {"held": names, "idle": len(idle)}


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
    known = {id(p) for net in networks.values() for p in net.parameters()}
    for optimizer in optimizers:
        known.update(held(optimizer))
    found = (
        (path, p)
        for net in networks.values()
        for name, module in net.named_modules()
        for attribute, value in vars(module).items()
        if isinstance(value, (list, dict)) and attribute not in _TORCHS_OWN
        for path, p in _inside(f"{name}.{attribute}".lstrip("."), value)
    )
    hidden = [(path, p) for path, p in found if id(p) not in known and p.grad is not None]
    if hidden:  # held by an optimizer that nobody named?
        elsewhere = {number for optimizer in alive(Optimizer) for number in held(optimizer)}
        hidden = [(path, p) for path, p in hidden if id(p) not in elsewhere]
    return tuple(path for path, _ in hidden)


def _inside(path: str, value: Any) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters in a container of modules and parameters, and in its containers."""
    if isinstance(value, nn.Parameter):
        yield path, value
    elif isinstance(value, nn.Module):
        for name, p in value.named_parameters():
            yield f"{path}.{name}", p
    elif isinstance(value, (list, tuple, dict)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in pairs:
            if isinstance(one, (list, tuple, dict, nn.Module, nn.Parameter)):
                yield from _inside(f"{path}[{key!r}]", one)
