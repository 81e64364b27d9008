"""The modules, parameters and buffers of a network, by name, as torch names them.

torch's own methods can be overridden, and what overrides them is the user's code, which a watcher
does not run. So the networks are walked here, in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from companion.isolation.objects import attributes, is_a

# What each module holds from the beginning.
TORCHS_OWN = frozenset(vars(nn.Module()))


def children(module: nn.Module) -> dict[str, Any]:
    """The `_modules` of a module; empty where it keeps none."""
    found = attributes(module).get("_modules")
    return found if is_a(found, dict) else {}


def own_parameters(module: nn.Module) -> dict[str, Any]:
    """The `_parameters` of a module; empty where it keeps none."""
    found = attributes(module).get("_parameters")
    return found if is_a(found, dict) else {}


def own_buffers(module: nn.Module) -> dict[str, Any]:
    """The `_buffers` of a module; empty where it keeps none."""
    found = attributes(module).get("_buffers")
    return found if is_a(found, dict) else {}


def is_training(module: nn.Module) -> bool:
    """Whether a module is in training mode."""
    if is_a(module, torch.jit.ScriptModule):
        return bool(module.training)
    return attributes(module).get("training") is True


def named_modules(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What `net.named_modules()` gives.

    Example:
        >>> [name for name, _ in named_modules(nn.Sequential(nn.Linear(2, 1), nn.ReLU()))]
        ['', '0', '1']
    """
    if _names_itself(net, "named_modules"):
        yield from net.named_modules()
        return
    seen: set[int] = set()
    todo = [("", net)]
    while todo:
        name, module = todo.pop()
        if id(module) not in seen:
            seen.add(id(module))
            yield name, module
            below = [
                (f"{name}.{key}" if name else str(key), child)
                for key, child in dict.items(children(module))
                if is_a(child, nn.Module)
            ]
            todo += reversed(below)


def named_parameters(net: nn.Module) -> Iterator[tuple[str, Any]]:
    """What `net.named_parameters()` gives: each once, under the first of its names.

    Example:
        >>> [name for name, _ in named_parameters(nn.Sequential(nn.Linear(2, 1), nn.ReLU()))]
        ['0.weight', '0.bias']
    """
    if _names_itself(net, "named_parameters"):
        yield from net.named_parameters()
    else:
        yield from _named(net, own_parameters)


def named_buffers(net: nn.Module) -> Iterator[tuple[str, Any]]:
    """What `net.named_buffers()` gives: each once, under the first of its names.

    Example:
        >>> [name for name, _ in named_buffers(nn.Sequential(nn.BatchNorm1d(2)))]
        ['0.running_mean', '0.running_var', '0.num_batches_tracked']
    """
    if _names_itself(net, "named_buffers"):
        yield from net.named_buffers()
    else:
        yield from _named(net, own_buffers)


def _named(
    net: nn.Module, own: Callable[[nn.Module], dict[str, Any]]
) -> Iterator[tuple[str, Tensor]]:
    seen: set[int] = set()
    for name, module in named_modules(net):
        for key, tensor in dict.items(own(module)):
            if is_a(tensor, Tensor) and id(tensor) not in seen:
                seen.add(id(tensor))
                yield (f"{name}.{key}" if name else str(key)), tensor


def parameters(net: nn.Module) -> Iterator[Any]:
    """What `net.parameters()` gives."""
    return (parameter for _, parameter in named_parameters(net))


def _names_itself(net: nn.Module, method: str) -> bool:
    """Whether a class of torch's own has names of its own (FSDP), or keeps them elsewhere (jit)."""
    if is_a(net, torch.jit.ScriptModule):
        return True
    for kind in type(net).__mro__:
        if method in vars(kind):
            return kind is not nn.Module and kind.__module__.startswith("torch.")
    return False
