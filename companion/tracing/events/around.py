"""What stands around a call of torch: the user's names there, and what a forward is making."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from types import FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import attributes, is_a, own_of, types_of
from companion.tracing.code.frames import local_variables
from companion.tracing.code.source import lines_of
from companion.tracing.events.graph import Node, grad_fn
from companion.tracing.events.values import leaf_of
from companion.tracing.measure.modules import named_parameters, own_parameters
from companion.tracing.measure.watched import alive

CALL = inspect.unwrap(nn.Module.__call__).__code__
MOST_INSIDE = 100  # entries of a list that is looked into
DEEP = 60  # frames that are looked through, outward


def names_around(frame: FrameType | None) -> dict[int, str]:
    """The user's names for parameters, by id: variables, attributes of self, and inside networks.

    A tensor that was computed from a parameter and nothing else gives it a name in brackets, if
    it has no other: "(scale)".
    """
    names: dict[int, str] = {}
    copies: dict[int, str] = {}
    for _ in range(DEEP):
        if frame is None:
            break
        if not is_in_library(frame.f_code.co_filename):
            local = local_variables(frame)
            owner = local.get("self")
            own = own_parameters(owner) if is_a(owner, nn.Module) else {}
            for name, value in [*local.items(), *attributes(owner).items(), *own.items()]:
                if type(name) is not str or name.startswith("_") or name == "self":
                    continue
                if is_a(value, nn.Parameter):
                    names.setdefault(id(value), name)
                for path, module in _modules(name, value):
                    for inner, p in named_parameters(module):
                        names.setdefault(id(p), f"{path}.{inner}")
                if is_a(value, Tensor) and (leaf := made_of(value)) is not None:
                    copies.setdefault(id(leaf), f"({name})")
        frame = frame.f_back
    return {**copies, **names}


def _modules(name: str, value: Any) -> Iterator[tuple[str, nn.Module]]:
    """A module, or those in a short list or dict, each with a name."""
    if is_a(value, nn.Module):
        yield name, value
    elif type(value) in (list, tuple, dict) and len(value) <= MOST_INSIDE:
        for key, one in value.items() if type(value) is dict else enumerate(value):
            if is_a(one, nn.Module) and type(key) in (str, int):
                yield f"{name}[{key!r}]", one


def is_written_by_hand(name: str, frame: FrameType | None) -> bool:
    """Whether the user's files write into a variable or ask for its gradient, sooner or later.

    A multiplier of a constraint is moved by its own line, at the end of an epoch, say.

    Args:
        name: Such as "lam", also for an attribute.
        frame: The innermost one that runs; the files of those around it are looked through.
    """
    own = re.compile(rf"\b{re.escape(name)}\s*(\.(data|grad|(?!requires_grad_)\w+_)\b|[-+*/]=)")
    files: dict[str, None] = {}
    for _ in range(DEEP):
        if frame is None:
            break
        files[frame.f_code.co_filename] = None
        frame = frame.f_back
    return any(own.search("".join(lines_of(one))) for one in files if not is_in_library(one))


def made_of(tensor: Tensor) -> Tensor | None:
    """The parameter that a tensor was computed from, and from nothing else that learns."""
    node: Node | None = grad_fn(tensor)
    for _ in range(4):
        inner = [one for one, _ in node.next_functions if one is not None] if node else []
        if len(inner) != 1:
            return None
        node = inner[0]
        leaf = leaf_of(node)
        if leaf is not None:
            return leaf if is_a(leaf, nn.Parameter) else None
    return None


def layer_under_way(frame: FrameType | None) -> str | None:
    """Such as "Conv1d in Pool.forward, line 14", where that makes a parameter while it is called.

    Args:
        frame: The innermost one that runs.
    """
    what = "Parameter"
    for _ in range(DEEP):
        if frame is None or frame.f_code is CALL:
            return None
        local = local_variables(frame) if frame.f_code.co_name == "__init__" else {}
        if is_a(local.get("self"), nn.Module):
            what = type(local["self"]).__name__
        elif not is_in_library(frame.f_code.co_filename):
            break
        frame = frame.f_back
    place, caller = frame, frame
    for _ in range(DEEP):
        if caller is None or place is None:
            return None
        if caller.f_code is CALL and torch.is_grad_enabled():
            if what == "Parameter" and "grad" in place.f_code.co_names:
                return None  # something whose own gradient is asked for
            owner = local_variables(place).get("self")
            function = place.f_code.co_name
            if is_a(owner, nn.Module):
                function = f"{type(owner).__name__}.{function}"
            file = os.path.basename(place.f_code.co_filename)
            return f"{what} in {function} ({file}, line {place.f_lineno})"
        caller = caller.f_back
    return None


def snapshot() -> dict[int, bool]:
    """All parameters that there are, by id, and whether each requires a gradient."""
    return {id(p): p.requires_grad for p in alive(nn.Parameter)}


def compares(module: nn.Module) -> bool:
    """Whether it is called with more than one thing, as a loss is, and no layer."""
    found = [own_of(kind).get("forward") for kind in types_of(type(module))]
    forward = next((one for one in found if one is not None), None)
    if type(forward) is not FunctionType:
        return False
    code = forward.__code__
    return code.co_argcount > 2 or bool(code.co_flags & inspect.CO_VARARGS)
