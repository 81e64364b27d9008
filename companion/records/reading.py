"""What a probe saw in one tensor, and several of these as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe saw in one tensor.

    A plain sum is blind where positive and negative entries cancel: the gradient of a
    cross-entropy loss with respect to the logits sums to 0 for every sample. The L2 norm is 0
    only when every entry is, so a reading always carries both.

    Attributes:
        sum: Sum of all entries; complex for a complex tensor.
        norm: L2 norm of all entries, never negative.
        nonfinite: How many entries are NaN or infinite.

    Example:
        >>> import torch
        >>> from companion import trace
        >>> net = torch.nn.Linear(2, 1)
        >>> with trace(net) as routine:
        ...     net(torch.tensor([[3.0, 4.0]])).sum().backward()
        >>> routine.records[0].after.gradients["weight"]
        Reading(sum=7.0, norm=5.0, nonfinite=0)
    """

    sum: float | complex
    norm: float
    nonfinite: int


def combine(readings: Iterable[Reading | None]) -> Reading | None:
    """One reading for several tensors, as if their entries stood in one.

    Args:
        readings: One reading a tensor; None where a tensor is absent, which adds nothing.

    Returns:
        The combined reading, or None if every one is None.

    Example:
        >>> combine([Reading(1.0, 3.0, 0), None, Reading(2.0, 4.0, 1)])
        Reading(sum=3.0, norm=5.0, nonfinite=1)
    """
    present = [r for r in readings if r is not None]
    if not present:
        return None
    return Reading(
        sum=sum(r.sum for r in present),
        norm=math.hypot(*(r.norm for r in present)),
        nonfinite=sum(r.nonfinite for r in present),
    )


def layer_of(parameter: str) -> str:
    """The layer that owns a parameter: its name without the last part.

    The network's own parameters belong to the layer "", the name `nn.Module.named_modules`
    gives the network itself.

    Example:
        >>> layer_of("encoder.0.weight"), layer_of("scale")
        ('encoder.0', '')
    """
    return parameter.rpartition(".")[0]


def by_layer(readings: Mapping[str, Reading | None]) -> dict[str, Reading | None]:
    """Combine readings by parameter into readings by layer, in the order of first appearance.

    Example:
        >>> by_layer({"fc.weight": Reading(1.0, 3.0, 0), "fc.bias": Reading(2.0, 4.0, 0)})
        {'fc': Reading(sum=3.0, norm=5.0, nonfinite=0)}
    """
    layers: dict[str, list[Reading | None]] = {}
    for name, reading in readings.items():
        layers.setdefault(layer_of(name), []).append(reading)
    return {layer: combine(group) for layer, group in layers.items()}
