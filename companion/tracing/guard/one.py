"""The steps of one optimizer, and what was seen of them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes
from companion.records.sighting import Sighting
from companion.tracing.guard.judges import History, ZeroRates, is_zero
from companion.tracing.guard.norms import Norms, gradients_of, readable_parameters
from companion.tracing.guard.pace import Pace
from companion.tracing.guard.scales import Scales

ON_A_GPU = 16  # steps between looks: norms take its time, of which the CPU's clock shows nothing


class One:
    """One optimizer's steps; neither it nor its parameters are kept alive.

    Args:
        optimizer: The optimizer.
        name: The user's name for it.
        naming: What gives a parameter's name.
        pace: How often to look.

    Attributes:
        name: The user's name for it.
        steps: How many it has made since the watching began.
        checked: At how many of them its gradients were read.
    """

    def __init__(
        self, optimizer: Optimizer, name: str, naming: Callable[[Tensor], str], pace: Pace
    ) -> None:
        self.optimizer: weakref.ref[Optimizer] = weakref.ref(optimizer)
        self.name, self._naming = name, naming
        self.pace = pace
        self.steps = self.checked = 0
        self._pending: _Look | None = None
        self._next = 0  # the step before which there is no look
        self._finite = 0  # the last step at which all was
        self._history = History()
        self._rates = ZeroRates()
        self._not_finite: Sighting | None = None
        self._norm: Sighting | None = None

    def look(self, optimizer: Optimizer, kwargs: Any, scales: Scales | None, made: int) -> None:
        """Look at the step that was just made; what comes from a GPU is judged at a later one."""
        if self._pending is not None and self._pending.norms.have_come():
            self._judge(self._pending, scales)
        if self._pending is not None or self.steps < self._next:
            return
        pairs = gradients_of(optimizer)
        self._rates.note(self.steps, is_zero=bool(pairs) and is_zero(optimizer))
        if _are_scaled(optimizer, kwargs) or self._not_finite is not None:
            pairs = []
        scale = None if scales is None else scales.tensor()
        tensors = [gradient for _, gradient in pairs]
        if scale is not None:
            tensors.append(scale.detach())
        if tensors:
            refs = [weakref.ref(parameter) for parameter, _ in pairs]
            self._pending = _Look(self.steps, made, refs, Norms(tensors))
            if self._pending.norms.is_local:
                self._judge(self._pending, scales)
            else:
                self._next = self.steps + ON_A_GPU

    def finish(self, scales: Scales | None, *, wait: bool) -> None:
        """There are no more steps; what is still on its way is waited for, or left."""
        if self._pending is not None and self._pending.norms.have_come(wait=wait):
            self._judge(self._pending, scales)
        self._pending = None
        optimizer = self.optimizer()
        if wait and optimizer is not None and self.steps and self._not_finite is None:
            self._look_at_parameters(optimizer)

    def _look_at_parameters(self, optimizer: Optimizer) -> None:
        """What was NaN between two looks, or sparse, has left its mark."""
        parameters = readable_parameters(optimizer)
        norms = Norms([parameter.detach() for parameter in parameters]).values()
        bad = [one for one, norm in zip(parameters, norms, strict=True) if math.isnan(norm)]
        if bad:
            name = self._naming(bad[0])
            what = f"{name} has NaN in it at the end"
            if len(bad) > 1:
                what += f", and {len(bad) - 1} more of {len(norms)} parameters have"
            self._not_finite = Sighting("not-finite", self.name, self.steps, False, name, what)

    def sightings(self) -> list[Sighting]:
        """What was seen, in the order of the steps."""
        seen = [one for one in (self._not_finite, self._norm, self._zero_rate()) if one is not None]
        return sorted(seen, key=lambda one: one.step)

    def _judge(self, look: _Look, scales: Scales | None) -> None:
        self._pending = None
        norms = look.norms.values()
        if scales is not None and len(norms) > len(look.parameters):
            scales.note(norms.pop(), look.made)
        if not norms:
            return
        self.checked += 1
        bad = [i for i, norm in enumerate(norms) if not math.isfinite(norm)]
        if bad:
            self._not_finite = self._say_not_finite(look, norms, bad)
            return
        self._finite = look.step
        whole = math.hypot(*norms)
        if self._norm is None:
            median = self._history.median_below(whole)
            if median is not None:
                self._norm = self._say_norm(look, norms, whole, median)
        self._history.add(whole)

    def _say_not_finite(self, look: _Look, norms: list[float], bad: list[int]) -> Sighting:
        name = self._name_of(look, bad[0])
        what = f"the gradient of {name} has NaN in it"
        if math.isinf(norms[bad[0]]):
            what = f"the norm of the gradient of {name} is infinite"
        if len(bad) > 1:
            what += f", and {len(bad) - 1} more of {len(norms)} gradients are not finite"
        exact = look.step == self._finite + 1
        if not exact and self._finite:
            what += f"; at step {self._finite} all were finite"
        return Sighting("not-finite", self.name, look.step, exact, name, what)

    def _say_norm(self, look: _Look, norms: list[float], whole: float, median: float) -> Sighting:
        name = self._name_of(look, norms.index(max(norms)))
        what = (
            f"the norm of the gradients was {whole:.3g}; of the {self._history.number} norms seen "
            f"before, the median is {median:.3g} and the largest {self._history.largest:.3g}; "
            f"the largest part is that of {name}"
        )
        return Sighting("norm", self.name, look.step, True, name, what)

    def _zero_rate(self) -> Sighting | None:
        if self._rates.found is None:
            return None
        first, last, looks = self._rates.found
        what = (
            f"the learning rate of every group was 0, and so it was at each of {looks} looks up to "
            f"step {last}"
        )
        return Sighting("zero-lr", self.name, first, True, None, what)

    def _name_of(self, look: _Look, i: int) -> str:
        parameter = look.parameters[i]()
        return "a parameter that is gone" if parameter is None else self._naming(parameter)


class _Look:
    """The gradients after a step, in that order; perhaps the scale last."""

    def __init__(
        self, step: int, made: int, parameters: list[weakref.ref[Tensor]], norms: Norms
    ) -> None:
        self.step, self.made, self.parameters, self.norms = step, made, parameters, norms


def _are_scaled(optimizer: Optimizer, kwargs: Any) -> bool:
    """Whether a GradScaler leaves it to the optimizer to unscale, and to skip: to a fused one."""
    # It has these two as long as its step lasts. Once unscaled, the first is None.
    return not attributes(optimizer).keys().isdisjoint(_LENT) or "grad_scaler" in kwargs


_LENT = ("grad_scale", "found_inf")
