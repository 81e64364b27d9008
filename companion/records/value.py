"""What a line bound to a variable: a tensor, or a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """What a line bound to a variable: a tensor, or a number.

    Attributes:
        name: The variable, as it is written: "loss", "self.total".
        dtype: torch's name for the type of a tensor's entries ("float32"); of a number Python's
            own ("float", "int").
        shape: The tensor's; None for a number of Python's.
        number: A number's value, and that of a real tensor of one entry; else None.
        nonfinite: How many entries are NaN or infinite; None where they were not read.
        graph: Whether autograd recorded what made it, so that a backward can begin there.
        unreached: The watched parameters that require a gradient and that a backward from there
            would not reach; None without a graph, and where that cannot be told.

    Example:
        >>> import torch
        >>> from companion import trace
        >>> net = torch.nn.Linear(2, 1)
        >>> with trace(net) as routine:
        ...     outputs = net(torch.ones(4, 2))
        ...     loss = outputs.sub(outputs.detach()).square().mean()
        >>> outputs = routine.records[0].values[0]
        >>> outputs.shape, outputs.graph, outputs.unreached
        ((4, 1), True, ())
        >>> routine.records[1].values[0].number
        0.0
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None = None
    number: float | None = None
    nonfinite: int | None = None
    graph: bool = False
    unreached: tuple[str, ...] | None = None
