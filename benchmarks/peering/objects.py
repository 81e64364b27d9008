"""The networks and optimizers that are there where an edited script calls `_watch`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

Pair = tuple[nn.Module, torch.optim.Optimizer | None]


def pairs(given: tuple[object, ...]) -> list[Pair]:
    """Each outermost network that is to learn, with the optimizer that a user would name.

    That is the one which holds most of its parameters; where none holds any of any network, the
    only one there is; or the one at the same place of the list. A frozen network, and one beside
    those that are trained, such as a moving average, is not what a user would name.
    """
    found = list({id(one): one for one in _inside(given, 0)}.values())
    optimizers = [one for one in found if isinstance(one, torch.optim.Optimizer)]
    modules = [one for one in found if isinstance(one, nn.Module)]
    within = {id(child) for one in modules for child in list(one.modules())[1:]}
    roots = [one for one in modules if id(one) not in within]
    held = [one for one in roots if any(_held(one, optimizer) for optimizer in optimizers)]
    learning = [one for one in roots if any(p.requires_grad for p in one.parameters())]
    if held and len(learning) != len(optimizers):
        learning = held
    roots = [one for one in roots if one in held or one in learning]
    return [(one, _trainer(one, roots, optimizers)) for one in roots]


def _held(module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """How many of its parameters."""
    own = {id(p) for p in module.parameters()}
    return sum(id(p) in own for group in optimizer.param_groups for p in group["params"])


def _inside(value: object, depth: int) -> Iterator[Any]:
    if isinstance(value, nn.Module | torch.optim.Optimizer):
        yield value
    elif isinstance(value, Mapping) and depth < 4:
        for key, one in list(value.items()):
            if not str(key).startswith("__"):
                yield from _inside(one, depth + 1)
    elif isinstance(value, list | tuple) and depth < 4:
        for one in value[:50]:
            yield from _inside(one, depth + 1)
    elif depth == 2 and type(value).__module__ == "__main__" and hasattr(value, "__dict__"):
        yield from _inside(vars(value), depth + 1)  # `self.net` of an object of the script's


def _trainer(
    module: nn.Module, roots: list[nn.Module], optimizers: list[torch.optim.Optimizer]
) -> torch.optim.Optimizer | None:
    best = max(optimizers, key=partial(_held, module), default=None)
    if best is None or _held(module, best) or len(optimizers) == 1:
        return best
    place = [id(one) for one in roots].index(id(module))
    return optimizers[place] if len(roots) == len(optimizers) else None
