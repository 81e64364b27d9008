"""A trace as a figure: the two diagrams of the training routine, drawn from one trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from companion.course.extras import require
from companion.course.style import PALETTE, RC
from companion.records.line import LineRecord
from companion.records.reading import by_layer, layer_of
from companion.records.visible import visible
from companion.render.layers import Value, chosen_layers, number
from companion.render.listing import listing
from companion.render.losses import draw as draw_losses
from companion.render.losses import losses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

What: TypeAlias = Literal["gradients", "parameters"]

# Inches.
ROW = 0.27
MARGIN = 0.06
GAP = 0.2  # between one column and the next
CHARACTER = 0.084  # of DejaVu Sans Mono at 10 points; no digit of DejaVu Sans is wider
LARGEST = 600  # of either side; matplotlib draws no more than 2**16 dots of 1/100

LONGEST = 100  # characters of a line or a name
WIDEST = 5.2  # what a phone shows whole, its text still 9.5 pixels high; above it, cells go below
INDENT = 0.15
PLAIN: dict[str, Any] = {"va": "center", "parse_math": False}  # "$" is code, too
MONO = {"family": "monospace", **PLAIN}
FIRST = "(on entering)"


class _Cell(NamedTuple):
    text: str
    changed: bool


def figure(
    records: Sequence[LineRecord],
    what: What | None = None,
    *,
    value: Value = "sum",
    layers: Sequence[str] | str | None = None,
) -> Figure:
    """Gradient sums per layer after each line, above parameter sums per layer after each line.

    Above both stand the losses, if lines bound any. A row is a line of code; the row before the
    first holds what was there on entering. A diagram that would be too wide for a phone is folded:
    the numbers stand below their line, not beside it.
    """
    plt = require("matplotlib.pyplot", extra="plot", purpose="routine.plot()")
    if what not in (None, "gradients", "parameters"):
        raise ValueError(f'what must be "gradients", "parameters" or None for both, not {what!r}')
    if value not in ("sum", "norm"):
        raise ValueError(f'value must be "sum" or "norm", not {value!r}')
    if not records:
        raise ValueError("nothing to plot: the trace holds no line yet; plot it after the block")
    names = chosen_layers(records, layers)
    shown: tuple[What, ...] = ("gradients", "parameters") if what is None else (what,)
    code = [FIRST, *(_first_line(lines) for lines in listing(records))]
    panels = {panel: _columns(records, names, panel, value) for panel in shown}
    titles = {"gradients": f"p.grad.{value}()", "parameters": f"p.{value}()"}
    beside = _width([*titles.values(), *code])
    widths = [beside]
    for i, name in enumerate(names):
        widths.append(
            _width([_short(name), *(cell.text for table in panels.values() for cell in table[i])])
        )
    _check(sum(widths), f"{len(names)} layers", "name fewer, layers=[...]")
    folded = sum(widths) > WIDEST
    if folded:
        widths[0] = INDENT
    lines = 1 + folded  # of the figure, for each line of code
    size = max(beside, sum(widths)) + 2 * MARGIN, ROW * (lines * (len(code) + 1) + 1)
    _check(size[1] * len(panels), f"{len(records)} lines", "watch fewer steps")
    found = losses(records)
    above = ROW * (len(found) + bool(found))
    height = size[1] * len(panels) + above
    with plt.rc_context(RC):
        canvas: Figure = plt.figure(figsize=(size[0], height))
        for below, panel in enumerate(reversed(panels)):
            axes = canvas.add_axes((0, below * size[1] / height, 1, size[1] / height))
            axes.set(xlim=(-MARGIN, size[0] - MARGIN), ylim=(lines * len(code) + 0.6, -lines - 0.4))
            axes.axis("off")
            head = [titles[panel], *map(_short, names)]
            _draw(axes, head, code, panels[panel], widths, lines)
        if found:
            axes = canvas.add_axes((0, 1 - above / height, 1, above / height))
            axes.set(xlim=(-MARGIN, size[0] - MARGIN), ylim=(len(found) + 0.5, -0.5))
            axes.axis("off")
            draw_losses(axes, found, size[0] - 2 * MARGIN, MONO)
        if "inline" in plt.get_backend():
            plt.close(canvas)  # or a notebook would show it twice: at once, and as a result
    return canvas


def _check(inches: float, many: str, cure: str) -> None:
    if inches > LARGEST:
        raise ValueError(
            f"a figure of {many} would be {inches:.0f} inches long, and matplotlib draws "
            f"{LARGEST} at most; {cure}, or see routine.play()"
        )


def _first_line(lines: Sequence[str]) -> str:
    first = _short(lines[0])
    return first if len(lines) == 1 else f"{first} …"


def _short(words: str) -> str:
    words = visible(words)
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def _width(texts: Sequence[str]) -> float:
    return CHARACTER * max(map(len, texts)) + GAP


def _columns(
    records: Sequence[LineRecord], layers: Sequence[str], what: str, value: Value
) -> list[list[_Cell]]:
    """One column for each layer: what it held on entering, then after each line."""
    states = [getattr(state, what) for state in (records[0].before, *(r.after for r in records))]
    readings = [by_layer(state) for state in states]
    changed = [set(), *(set(map(layer_of, getattr(r, f"changed_{what}"))) for r in records)]
    return [
        [
            _Cell(number(reading.get(layer), value), layer in moved)
            for reading, moved in zip(readings, changed, strict=True)
        ]
        for layer in layers
    ]


def _draw(
    axes: Axes,
    head: Sequence[str],
    code: Sequence[str],
    columns: Sequence[Sequence[_Cell]],
    widths: Sequence[float],
    lines: int,
) -> None:
    """One diagram: x in inches, y in lines, counted downward from the one under the head.

    A row has one line, or two: the code, and below it what the layers hold.
    """
    axes.text(0, 0.5 - lines, head[0], weight="bold", **MONO)
    right = axes.get_xlim()[1] - MARGIN
    axes.plot([0, right], [0, 0], color=PALETTE["muted"], linewidth=0.8, clip_on=False)
    for row, line in enumerate(code):
        axes.text(0, lines * row + 0.5, line, **MONO)
    for column, (layer, cells) in enumerate(zip(head[1:], columns, strict=True)):
        left, width = sum(widths[: column + 1]), widths[column + 1]
        axes.text(left + width / 2, -0.5, layer or "(net)", ha="center", **MONO)
        for row, cell in enumerate(cells):
            top = lines * (row + 1) - 1
            if cell.changed:
                axes.add_patch(_frame(left, top, width))
            axes.text(
                left + width / 2,
                top + 0.5,
                cell.text,
                ha="center",
                weight="bold" if cell.changed else "normal",
                style="italic" if cell.text == "None" else "normal",
                color=PALETTE["ink"] if cell.changed else PALETTE["muted"],
                **PLAIN,
            )


def _frame(left: float, top: int, width: float) -> Rectangle:
    patches = require("matplotlib.patches", extra="plot", purpose="routine.plot()")
    frame: Rectangle = patches.Rectangle(
        (left + 0.03, top + 0.06),
        width - 0.06,
        0.88,
        facecolor=PALETTE["changed"],
        edgecolor=PALETTE["frame"],
        linewidth=1,
        clip_on=False,
    )
    return frame
