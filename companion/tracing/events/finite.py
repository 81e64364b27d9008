"""What a backward begins at, and whether it is finite; what near it can be infinitely steep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import is_a
from companion.tracing.events.graph import Node
from companion.tracing.events.values import numbers_in
from companion.tracing.measure.values import is_lazy
from companion.tracing.measure.watched import groups

_STEEP = {
    "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Log": "log", "Log2": "log", "Log10": "log", "Log1P": "log",
    "Div": "/", "Reciprocal": "/", "Pow": "**", "Std": "std", "Acos": "acos", "Asin": "asin",
    "Exp": "exp", "Logit": "logit", "Atanh": "atanh", "Xlogy": "log",
}  # fmt: skip


def of_loss(roots: Sequence[Tensor], near: Sequence[Node]) -> dict[str, Any]:
    """Details of a backward: is its loss finite, and what could make its gradient infinite?

    Args:
        roots: What it begins at.
        near: The nodes near them.
    """
    single = [one for one in roots if not is_lazy(one) and not one.is_nested and one.numel() == 1]
    counts = [numbers_in(root)[1] for root in single]
    found: dict[str, None] = {}
    ignored = None
    for node in near:
        kind = node.name().partition("Backward")[0]
        if kind in _STEEP and not _is_power(node):
            found[_STEEP[kind]] = None
        elif kind in ("NllLoss", "NllLoss2D") and not _is_foreign(node):
            number = getattr(node, "_saved_ignore_index", None)  # a plain number: no hook runs
            if type(number) is int:
                ignored = str(number - 2**64 if number >= 2**63 else number)
    known = [count for count in counts if count is not None]
    return {
        "nonfinite": sum(known) if known else None,
        "steep": tuple(found),
        "ignored": ignored,
    }


def _is_power(node: Node) -> bool:
    """Whether it is a square, or another power whose slope is finite: by a plain number."""
    if _is_foreign(node) or node.name() != "PowBackward0":
        return False
    exponent = getattr(node, "_saved_exponent", None)
    return isinstance(exponent, (int, float)) and exponent >= 1


def _is_foreign(node: Node) -> bool:
    return is_a(node, torch.autograd.function.BackwardCFunction)


@cache
def _lost(dtype: torch.dtype) -> float:
    """The largest number that is rounded to 0 in a type: half of its smallest."""
    if not dtype.is_floating_point or dtype.itemsize == 1:
        return 0.0
    limits = torch.finfo(dtype)
    return float(limits.smallest_normal * limits.eps / 2)


def lost_eps(optimizer: Optimizer) -> str | None:
    """An optimizer's eps where it is 0 in the type of a tensor that it holds.

    Example:
        >>> p = torch.nn.Parameter(torch.ones(2, dtype=torch.float16))
        >>> lost_eps(torch.optim.Adam([p])), lost_eps(torch.optim.Adam([p], eps=1e-4))
        ('1e-08', None)
    """
    for group in groups(optimizer):
        eps, held = dict.get(group, "eps"), dict.get(group, "params")
        if not isinstance(eps, float) or not eps or type(held) is not list:
            continue
        lost = max((_lost(p.dtype) for p in held if is_a(p, Tensor)), default=0.0)
        if eps <= lost:
            return f"{eps:g}"
    return None
