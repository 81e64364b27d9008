"""One read of all gradients of an optimizer: their norms, in one transfer from each device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from companion.tracing.measure.values import has_values
from companion.tracing.measure.watched import parameters_of

_WIDER = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}


def gradients_of(optimizer: Optimizer) -> list[tuple[Tensor, Tensor]]:
    """Each parameter with its gradient, where both are dense, real and torch's own."""
    found = []
    for parameter in parameters_of(optimizer):
        if type(parameter) in (nn.Parameter, Tensor) and parameter.is_leaf:
            gradient = parameter.grad
            if gradient is not None and is_readable(gradient):
                # One of create_graph=True has a graph, which must not grow.
                read = gradient.detach() if gradient.requires_grad else gradient
                found.append((parameter, read))
    return found


def readable_parameters(optimizer: Optimizer) -> list[Tensor]:
    """The parameters that are so themselves."""
    return [
        parameter
        for parameter in parameters_of(optimizer)
        if type(parameter) in (nn.Parameter, Tensor) and is_readable(parameter.detach())
    ]


def is_readable(tensor: object) -> TypeGuard[Tensor]:
    """Whether this is a dense, real tensor of torch's own type, with numbers in memory."""
    return (
        type(tensor) is Tensor
        and tensor.dtype in _WIDER
        and tensor.layout == torch.strided
        and not tensor.is_nested
        and tensor.numel() > 0
        and has_values(tensor)
    )


class Norms:
    """The L2 norms of tensors; from a GPU they come when it gets there, and nobody waits.

    Attributes:
        is_local: Whether all of it was on the CPU: they are there at once.

    Example:
        >>> norms = Norms([torch.tensor([3.0, 4.0]), torch.tensor([math.inf])])
        >>> norms.have_come(), norms.values()
        (True, [5.0, inf])
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._values = [0.0] * len(tensors)
        self._parts: list[tuple[list[int], Tensor]] = []  # of these, those that have not come
        self._events: list[torch.cuda.Event] = []
        kinds: dict[tuple[torch.device, torch.dtype], list[int]] = {}
        for i, tensor in enumerate(tensors):
            kinds.setdefault((tensor.device, tensor.dtype), []).append(i)
        self.is_local = all(device.type == "cpu" for device, _ in kinds)
        for (device, dtype), places in kinds.items():
            those = [tensors[i] for i in places]
            numbers = torch.stack(torch._foreach_norm(those, 2, dtype=_WIDER[dtype]))
            if device.type == "cpu":
                self._put(places, _without_overflow(numbers.tolist(), those))
            else:
                sent = self._send(numbers) if device.type == "cuda" else numbers
                self._parts.append((places, sent))

    def _put(self, places: list[int], values: list[float]) -> None:
        for i, value in zip(places, values, strict=True):
            self._values[i] = value

    def _send(self, numbers: Tensor) -> Tensor:
        """Have them copied to the CPU when the GPU has them."""
        here = torch.empty(numbers.shape, dtype=numbers.dtype, device="cpu", pin_memory=True)
        here.copy_(numbers, non_blocking=True)
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(numbers.device))
        self._events.append(event)
        return here

    def have_come(self, *, wait: bool = False) -> bool:
        """Whether reading them holds nobody up; with `wait`, once they are there."""
        if wait:
            for event in self._events:
                event.synchronize()
        return all(event.query() for event in self._events)

    def values(self) -> list[float]:
        """One for each tensor, in their order."""
        while self._parts:
            places, numbers = self._parts.pop()
            self._put(places, numbers.tolist())
        return self._values


def _without_overflow(values: list[float], tensors: Sequence[Tensor]) -> list[float]:
    """The same; where one is infinite, though perhaps no entry is, in double precision."""
    if math.inf not in values:
        return values
    return torch.stack(torch._foreach_norm([*tensors], 2, dtype=torch.float64)).tolist()
