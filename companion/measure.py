"""Measuring a network again and again: what it reads now, and what changed since the last time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from companion.probes import Reading, entries, has_values, read
from companion.records import State


@dataclass(frozen=True, slots=True)
class Measurement:
    """The state now, and the names of what has other values than at the measurement before."""

    state: State
    changed_gradients: tuple[str, ...]
    changed_parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """One tensor as it was last seen: a copy of its `entries`, and its reading."""

    layout: torch.layout | None
    copy: tuple[Tensor, ...]
    reading: Reading | None


_ABSENT = _Seen(None, (), None)


class Meter:
    """Measures one network. Keeps a copy of every parameter and gradient to compare with.

    Version counters are not trusted: a write through `.data` does not bump them.
    """

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._gradients: dict[str, _Seen] = {}
        self._parameters: dict[str, _Seen] = {}

    def measure(self) -> Measurement:
        """Read the network; the first time, everything that is there counts as changed."""
        # Asked anew each time: a line may replace a Parameter object, or add and remove layers.
        parameters = dict(self._net.named_parameters())
        seen_gradients = {
            name: _look(f"{name}.grad", p.grad, self._gradients.get(name, _ABSENT))
            for name, p in parameters.items()
        }
        seen_parameters = {
            name: _look(name, p, self._parameters.get(name, _ABSENT))
            for name, p in parameters.items()
        }
        measurement = Measurement(
            State(_readings(seen_gradients), _readings(seen_parameters)),
            _changed(self._gradients, seen_gradients),
            _changed(self._parameters, seen_parameters),
        )
        self._gradients, self._parameters = seen_gradients, seen_parameters
        return measurement


@torch.no_grad()
def _look(name: str, tensor: Tensor | None, last: _Seen) -> _Seen:
    """See a tensor again: the very same `_Seen` if its values are the same."""
    if tensor is None or not has_values(tensor):
        return _ABSENT
    try:
        now = entries(tensor)
        if tensor.layout == last.layout and all(map(_same_values, now, last.copy)):
            return last
        return _Seen(tensor.layout, tuple(part.clone() for part in now), read(tensor))
    except (RuntimeError, NotImplementedError) as error:
        kind = f"{type(tensor).__name__}, {tensor.dtype}, {tensor.layout}, {tensor.device}"
        raise TypeError(f"cannot read {name} ({kind}): {error}") from error


def _same_values(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        return False
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    if a.is_floating_point() and a.itemsize == 1:
        a, b = a.view(torch.uint8), b.view(torch.uint8)  # torch.equal does not know float8
    if torch.equal(a, b):
        return True
    # NaN is not equal to itself, yet a NaN that stays is no change.
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def _readings(seen: dict[str, _Seen]) -> dict[str, Reading | None]:
    return {name: one.reading for name, one in seen.items()}


def _changed(before: dict[str, _Seen], after: dict[str, _Seen]) -> tuple[str, ...]:
    names = list(dict.fromkeys([*after, *before]))
    return tuple(
        name for name in names if before.get(name, _ABSENT) is not after.get(name, _ABSENT)
    )
