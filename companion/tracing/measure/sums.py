"""A whole network in, one sum for each parameter or layer out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from torch import Tensor, nn

from companion.records.reading import by_layer
from companion.tracing.measure.read import read

By: TypeAlias = Literal["parameter", "layer"]


def gradient_sums(net: nn.Module, *, by: By = "parameter") -> dict[str, float | complex | None]:
    """The sum of every gradient that the network's parameters hold right now.

    Args:
        net: The network. A parameter used in two places (tied weights) is counted once, under
            the first of its names, as `nn.Module.named_parameters` counts it.
        by: "parameter", one sum for each parameter; or "layer", one for each module that owns
            parameters, the sum of theirs.

    Returns:
        Sums by name. None where there is no gradient, because it was never computed, is cleared,
        or its parameter is frozen. A layer is None when none of its parameters has one.

    Raises:
        TypeError: If `net` is not an `nn.Module`.
        ValueError: If `by` is neither "parameter" nor "layer".

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 1)
        >>> gradient_sums(net)
        {'weight': None, 'bias': None}
        >>> net(torch.tensor([[3.0, 4.0]])).sum().backward()
        >>> gradient_sums(net)
        {'weight': 7.0, 'bias': 1.0}
        >>> gradient_sums(torch.nn.Sequential(net), by="layer")
        {'0': 8.0}
    """
    return _sums(by, ((name, p.grad) for name, p in _named_parameters(net, "gradient_sums")))


def parameter_sums(net: nn.Module, *, by: By = "parameter") -> dict[str, float | complex | None]:
    """The sum of every parameter of the network.

    Args:
        net: The network; tied weights are counted once, under the first of their names.
        by: "parameter" or "layer", as in `gradient_sums`.

    Returns:
        Sums by name. None only for a parameter of a lazy module that has no values yet.

    Raises:
        TypeError: If `net` is not an `nn.Module`.
        ValueError: If `by` is neither "parameter" nor "layer".

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 1)
        >>> with torch.no_grad():
        ...     _ = net.weight.copy_(torch.tensor([[1.5, 2.0]])), net.bias.zero_()
        >>> parameter_sums(net)
        {'weight': 3.5, 'bias': 0.0}
    """
    return _sums(by, iter(_named_parameters(net, "parameter_sums")))


def _named_parameters(net: nn.Module, caller: str) -> Iterator[tuple[str, nn.Parameter]]:
    if not isinstance(net, nn.Module):
        raise TypeError(
            f"{caller}() takes a torch.nn.Module, not {type(net).__name__}: {net!r:.80}"
        )
    return net.named_parameters()


def _sums(
    by: By, tensors: Iterator[tuple[str, Tensor | None]]
) -> dict[str, float | complex | None]:
    if by not in ("parameter", "layer"):
        raise ValueError(f'by must be "parameter" or "layer", not {by!r}')
    readings = {name: read(tensor) for name, tensor in tensors}
    if by == "layer":
        readings = by_layer(readings)
    return {name: None if r is None else r.sum for name, r in readings.items()}
