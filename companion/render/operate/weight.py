"""A parameter and its gradient as two grids; sliders choose an entry, whose two numbers are said.

The fragment is complete without scripts: both grids, and the two numbers of the first entry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch

from companion.render.operate.fragment import Operated, operated, slider

# All that a reader is told: what a translation replaces.
WORDS = {
    "picture": "Grid of the numbers of {name}",
    "none": "Grid of {name}, which is None",
    "row": "row",
    "column": "column",
}
MOST = 4096  # entries, so that a page stays light
LEVELS = 8  # of colour on each side of 0, which has none
SCRIPT = Path(__file__).with_name("weight.js")


def weight(parameter: torch.Tensor, name: str) -> Operated:
    """Two grids: the entries of a parameter, and below them the entries of its gradient.

    An entry that is 0 has no colour, one below 0 is purple, one above 0 orange, darker the
    farther from 0; each grid says which number has its strongest colour. An entry that is not
    finite is dashed.

    Args:
        parameter: Of shape (rows, columns), any floating dtype; it is only read.
        name: How the reader writes it, such as "net.fc3.weight".

    Raises:
        ValueError: If it has not two dimensions, no entry or more than 4096, or numbers that are
            not real.

    Example:
        >>> layer = torch.nn.Linear(3, 2)
        >>> weight(layer.weight, "layer.weight")
        <Operated: layer.weight>
        >>> "layer.weight.grad = None" in weight(layer.weight, "layer.weight").html
        True
    """
    if parameter.ndim != 2 or not parameter.is_floating_point():
        raise ValueError(
            f"{name} has shape {tuple(parameter.shape)} and dtype {parameter.dtype}, "
            "not two dimensions and real numbers"
        )
    rows, columns = parameter.shape
    if not 0 < rows * columns <= MOST:
        raise ValueError(f"{name} has {rows * columns} entries, not 1 to {MOST}")
    grids: dict[str, list[list[float]] | None] = {name: _entries(parameter)}
    grids[f"{name}.grad"] = None if parameter.grad is None else _entries(parameter.grad)
    picture = "".join(_grid(title, grid, rows, columns) for title, grid in grids.items())
    numbers = [
        "None" if grid is None else " ".join(_number(entry) for row in grid for entry in row)
        for grid in grids.values()
    ]
    said = "".join(
        f'<p><code data-name="{escape(title)}">{escape(title)}'
        f"{'' if text == 'None' else '[0, 0]'} = {text.split(' ', 1)[0]}</code></p>\n"
        for title, text in zip(grids, numbers, strict=True)
    )
    sliders = "".join(
        slider(axis, escape(WORDS[axis]), (0, size - 1, 1), 0)
        for axis, size in (("row", rows), ("column", columns))
    )
    data = {"columns": str(columns), "numbers": json.dumps(numbers)}
    return operated(name, SCRIPT, data, picture, said, sliders)


def _entries(tensor: torch.Tensor) -> list[list[float]]:
    entries: list[list[float]] = tensor.detach().to("cpu", torch.float64).to_dense().tolist()
    return entries


def _number(entry: float) -> str:
    """With four digits.

    >>> _number(0.03215678), _number(-0.0), _number(math.nan)
    ('0.03216', '-0', 'nan')
    """
    return f"{entry:.4g}"


def _grid(title: str, grid: Sequence[Sequence[float]] | None, rows: int, columns: int) -> str:
    """The entries of one colour are one path, and neighbours in a row one stroke of it."""
    strokes: dict[str, list[str]] = {}
    finite = [abs(entry) for row in grid or () for entry in row if math.isfinite(entry)]
    limit = max(finite, default=0.0)
    for r, row in enumerate(grid or ()):
        kinds = [_kind(entry, limit) for entry in row]
        start = 0
        for c in range(1, columns + 1):
            if c == columns or kinds[c] != kinds[start]:
                strokes.setdefault(kinds[start], []).append(f"M{start} {r}.5h{c - start}")
                start = c
    strokes.pop("", None)
    paths = "".join(f'<path class="{kind}" d="{"".join(d)}"/>' for kind, d in strokes.items())
    label = WORDS["none" if grid is None else "picture"].format(name=title)
    scale = "None" if grid is None else f"±{limit:.2g}"
    return (
        f'<p class="ro-title"><code>{escape(title)}</code><span>{scale}</span></p>\n'
        f'<svg class="ro-grid" viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(label)}">\n{paths}\n'
        f'<rect width="{columns}" height="{rows}"/><rect class="ro-mark" width="1" height="1"/>'
        "</svg>\n"
    )


def _kind(entry: float, limit: float) -> str:
    """The classes of its colour: below or above 0, and how far of `LEVELS`.

    >>> _kind(-0.5, 1.0), _kind(1e-9, 1.0), _kind(0.0, 1.0), _kind(math.inf, 1.0)
    ('ro-below ro-level-4', 'ro-above ro-level-1', '', 'ro-odd')
    """
    if not math.isfinite(entry):
        return "ro-odd"
    if entry == 0:
        return ""
    level = max(1, math.ceil(LEVELS * abs(entry) / limit))
    return f"ro-{'below' if entry < 0 else 'above'} ro-level-{level}"
