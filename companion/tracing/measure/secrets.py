"""Tensors that only a type of somebody's own could read: it is told only that they were written."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from companion.tracing.measure.values import inside


class Secrets:
    """Which of them were written since the last time: told by object and version."""

    def __init__(self) -> None:
        self._marks: dict[str, tuple[int, int]] = {}

    def look(
        self, gradients: Mapping[str, Tensor | None], parameters: Mapping[str, Tensor]
    ) -> set[str]:
        """Their names, a gradient's with ".grad" behind it."""
        marks = {
            (f"{name}.grad" if tensors is gradients else name): (id(tensor), tensor._version)
            for tensors in (gradients, parameters)
            for name, tensor in tensors.items()
            if tensor is not None and inside(tensor) is None
        }
        before, self._marks = self._marks, marks
        return {name for name in before.keys() | marks if before.get(name) != marks.get(name)}
