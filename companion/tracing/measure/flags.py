"""What else a state says: requires_grad, modes, learning rates, the scaler's factor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a
from companion.tracing.measure.tree import Tree
from companion.tracing.measure.values import has_values
from companion.tracing.measure.watched import Watched, groups


class Flags:
    """What is not a tensor's values, by name; a mapping that says the same stays the same object.

    Attributes:
        requires_grad: By parameter name, as `State` has it; so are the others.
        training: By module name.
        learning_rates: By optimizer name.
        scale: The GradScaler's factor.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._kept = list(map(attributes, watched.optimizers.values()))
        self.requires_grad: Mapping[str, bool] = MappingProxyType({})
        self.training: Mapping[str, bool] = MappingProxyType({})
        self.learning_rates: Mapping[str, tuple[float, ...]] = MappingProxyType({})
        self.scale: float | None = None
        self._last: tuple[Any, ...] = ()
        self._scale_mark: tuple[int, int] | None = None
        self._scale_now: float | None = None

    def renew(self, tree: Tree) -> bool:
        """Look again; whether anything is other than before."""
        requires_grad = [p.requires_grad for p in tree.parameters.values()]
        training = tree.training()
        rates = list(map(_rates, self._watched.optimizers.values(), self._kept))
        now = requires_grad, training, rates, self._factor()
        before, self._last = self._last, now
        return now != before

    def name(self, tree: Tree) -> None:
        """Give what was seen the names that it has now."""
        requires_grad, training, rates, self.scale = self._last
        self.requires_grad = _zip(self.requires_grad, tree.parameters, requires_grad)
        self.training = _zip(self.training, tree.modules, training)
        self.learning_rates = _zip(self.learning_rates, self._watched.optimizers, rates)

    def _factor(self) -> float | None:
        """The GradScaler's, fetched only when its tensor was written."""
        scaler = self._watched.scaler
        known = {} if scaler is None else attributes(scaler)
        if known.get("_enabled") is not True:
            return None
        tensor = known.get("_scale")
        if tensor is None:
            return _number(known.get("_init_scale", 1.0))
        mark = (id(tensor), tensor._version)
        if mark != self._scale_mark:
            self._scale_mark, self._scale_now = mark, _number(tensor)
        return self._scale_now


def _rates(optimizer: Optimizer, kept: Mapping[str, Any]) -> tuple[float, ...]:
    """The learning rates of an optimizer's groups; `kept` is what it holds."""
    found = kept.get("param_groups")
    if type(found) is list and all(type(g) is dict and type(g.get("lr")) is float for g in found):
        return tuple([group["lr"] for group in found])
    return tuple([_number(group["lr"]) for group in groups(optimizer) if "lr" in group])


def _number(rate: object) -> float:
    """A number, or the only entry of a tensor; NaN where only somebody's own type could tell."""
    if is_a(rate, Tensor):
        return float(rate.detach()) if has_values(rate) else math.nan
    if is_a(rate, float) or is_a(rate, int) or type(rate).__module__ == "numpy":
        return float(rate)  # type: ignore[arg-type]
    return math.nan


def _zip(last: Mapping[str, Any], names: Iterable[str], values: list[Any]) -> Mapping[str, Any]:
    """Values by name: the mapping there was, if it says the same."""
    now = dict(zip(names, values, strict=True))
    return last if now == last else MappingProxyType(now)
