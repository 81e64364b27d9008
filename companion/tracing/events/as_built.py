"""How an optimizer was built: its class and options, as the reader would write them again."""

from __future__ import annotations

from inspect import signature
from typing import Any

from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes
from companion.tracing.measure.watched import groups

_PLAIN = (float, int, bool, type(None))


def as_built(optimizer: Optimizer) -> str | None:
    """One of torch's own, with `...` for its parameters; None where a line cannot say it.

    That is so with several groups, whose options may differ, and with options that are tensors.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.ones(1))
        >>> as_built(torch.optim.AdamW([w], lr=0.003, betas=(0.8, 0.999)))
        'torch.optim.AdamW(..., lr=0.003, betas=(0.8, 0.999))'
    """
    kind, options = type(optimizer), attributes(optimizer).get("defaults")
    if not kind.__module__.startswith("torch.optim.") or type(options) is not dict:
        return None
    parts = []
    for name, one in signature(kind.__init__).parameters.items():
        value = options.get(name, one.default)
        if name == "lr" or value is not one.default:
            if not _is_plain(value):
                return None
            if name == "lr" or value != one.default:
                parts.append(f"{name}={value!r}")
    whole = [*groups(optimizer)]
    return f"torch.optim.{kind.__name__}({', '.join(['...', *parts])})" if len(whole) == 1 else None


def _is_plain(value: Any) -> bool:
    """Whether it is a number, or a few: what can be written down."""
    return type(value) in _PLAIN or (type(value) is tuple and all(map(_is_plain, value)))
