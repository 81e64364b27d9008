"""A trace as a figure: the two diagrams of the training routine, drawn from one trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from companion._extras import require
from companion.probes import Reading, by_layer, layer_of
from companion.records import LineRecord
from companion.render.style import PALETTE, RC
from companion.render.text import listing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

What: TypeAlias = Literal["gradients", "parameters"]
Value: TypeAlias = Literal["sum", "norm"]

# Inches.
ROW = 0.27
COLUMN = 0.78
MARGIN = 0.06
CHARACTER = 0.084  # of DejaVu Sans Mono at 10 points


def figure(
    records: Sequence[LineRecord],
    what: What | None = None,
    *,
    value: Value = "sum",
    layers: Sequence[str] | None = None,
) -> Figure:
    """Gradient sums per layer after each line, above parameter sums per layer after each line.

    A row is a line of code; the row before the first holds what was there on entering.
    """
    plt = require("matplotlib.pyplot", extra="plot", purpose="routine.plot()")
    if what not in (None, "gradients", "parameters"):
        raise ValueError(f'what must be "gradients", "parameters" or None for both, not {what!r}')
    if value not in ("sum", "norm"):
        raise ValueError(f'value must be "sum" or "norm", not {value!r}')
    if not records:
        raise ValueError("nothing to plot: the trace holds no line yet; plot it after the block")
    names = _layers(records, layers)
    panels: list[What] = ["gradients", "parameters"] if what is None else [what]
    code = ["", *(_first_line(lines) for lines in listing(records))]
    left = CHARACTER * max(map(len, code)) + 0.2  # of the first column of numbers
    width, height = MARGIN + left + COLUMN * len(names) + MARGIN, ROW * (len(code) + 2)
    with plt.rc_context(RC):
        canvas: Figure = plt.figure(figsize=(width, height * len(panels)))
        for below, panel in enumerate(reversed(panels)):
            x, wide = (MARGIN + left) / width, COLUMN * len(names) / width
            axes = canvas.add_axes((x, below / len(panels), wide, 1 / len(panels)))
            _panel(axes, records, code, names, panel, value, left / COLUMN)
        if "inline" in plt.get_backend():
            plt.close(canvas)  # or a notebook would show it twice: at once, and as a result
    return canvas


def _layers(records: Sequence[LineRecord], wanted: Sequence[str] | None) -> list[str]:
    """Names of the layers to draw. The records tell: layers may come and go while they run."""
    known = dict.fromkeys(layer_of(name) for r in records for name in r.after.parameters)
    unknown = [name for name in wanted or [] if name not in known]
    if unknown:
        raise ValueError(f"no layer {unknown[0]!r} in this trace; it has {', '.join(known)}")
    return list(known if wanted is None else wanted)


def _first_line(lines: Sequence[str]) -> str:
    return lines[0] if len(lines) == 1 else f"{lines[0]} …"


def _panel(
    axes: Axes,
    records: Sequence[LineRecord],
    code: Sequence[str],
    layers: Sequence[str],
    what: What,
    value: Value,
    code_columns: float,
) -> None:
    """One diagram; a cell is one unit wide and one high, the rows run downward."""
    axes.set(xlim=(0, len(layers)), ylim=(len(code) + 0.6, -1.4))
    axes.axis("off")
    title = f"p.grad.{value}()" if what == "gradients" else f"p.{value}()"
    mono: dict[str, Any] = {"family": "monospace", "va": "center", "clip_on": False}
    axes.text(-code_columns, -0.5, title, weight="bold", **mono)
    for column, layer in enumerate(layers):
        axes.text(column + 0.5, -0.5, layer or "(net)", ha="center", **mono)
    axes.plot([-code_columns, len(layers)], [0, 0], color=PALETTE["muted"], lw=0.8, clip_on=False)
    states = [records[0].before, *(record.after for record in records)]
    changes = [(), *(getattr(record, f"changed_{what}") for record in records)]
    for row, (line, state, changed) in enumerate(zip(code, states, changes, strict=True)):
        axes.text(-code_columns, row + 0.5, line, color=PALETTE["ink"], **mono)
        readings = by_layer(getattr(state, what))
        moved = {layer_of(name) for name in changed}
        for column, layer in enumerate(layers):
            _cell(axes, row, column, _number(readings.get(layer), value), layer in moved)


def _cell(axes: Axes, row: int, column: int, number: str, changed: bool) -> None:
    from matplotlib.patches import Rectangle

    if changed:
        axes.add_patch(
            Rectangle(
                (column + 0.04, row + 0.06),
                0.92,
                0.88,
                facecolor=PALETTE["changed"],
                edgecolor=PALETTE["frame"],
                linewidth=1,
            )
        )
    axes.text(
        column + 0.5,
        row + 0.5,
        number,
        ha="center",
        va="center",
        weight="bold" if changed else "normal",
        style="italic" if number == "None" else "normal",
        color=PALETTE["ink"] if changed else PALETTE["muted"],
    )


def _number(reading: Reading | None, value: Value) -> str:
    """Sum or norm to four digits; "≈ 0" where the entries cancel, up to rounding noise."""
    if reading is None:
        return "None"
    if value == "norm":
        return f"{reading.norm:.4g}"
    if abs(reading.sum) <= 1e-5 * reading.norm:
        return "≈ 0" if reading.norm else "0"
    return f"{reading.sum:.2g}" if isinstance(reading.sum, complex) else f"{reading.sum:.4g}"
