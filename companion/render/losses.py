"""The losses of a trace, above its diagrams: numbers that a backward can begin at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from companion.course.style import PALETTE
from companion.records.line import LineRecord
from companion.records.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 3  # variables
NUMBERS = 4  # that are written; of more, the first and the last, and a curve between them
LONGEST = 20  # characters of a name


def losses(records: Sequence[LineRecord]) -> dict[str, list[float]]:
    """The numbers with a graph that lines bound, by variable, in the order of the lines."""
    found: dict[str, list[float]] = {}
    for record in records:
        for value in record.values:
            if value.graph and value.number is not None and value.shape is not None:
                found.setdefault(value.name, []).append(value.number)
    return dict(list(found.items())[:MOST])


def draw(axes: Axes, found: Mapping[str, Sequence[float]], width: float, mono: Any) -> None:
    """A row for each variable, in inches across and rows down."""
    names = {name: _short(name) for name in found}
    left = 0.1 * max(map(len, names.values())) + 0.2
    for row, (name, numbers) in enumerate(found.items()):
        axes.text(0, row + 0.5, names[name], weight="bold", **mono)
        ends = numbers if len(numbers) <= NUMBERS else [numbers[0], numbers[-1]]
        places = [left + i * 0.75 for i in range(len(ends))]
        if len(numbers) > NUMBERS:
            right = min(width, left + 3.2)
            places = [left, right - 0.6]
            _curve(axes, numbers, left + 0.7, right - 0.75, row)
        for place, number in zip(places, ends, strict=True):
            axes.text(place, row + 0.5, f"{number:.4g}", va="center", parse_math=False)


def _curve(axes: Axes, numbers: Sequence[float], left: float, right: float, row: int) -> None:
    finite = [number for number in numbers if math.isfinite(number)]
    if len(finite) < 2 or right - left < 0.3:
        return
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    across = [left + i * (right - left) / (len(numbers) - 1) for i in range(len(numbers))]
    down = [row + 0.85 - 0.7 * (number - low) / span for number in numbers]
    axes.plot(across, down, color=PALETTE["ink"], linewidth=1, clip_on=False)


def _short(name: str) -> str:
    name = visible(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
