"""What the views that draw layers share: which layers, and how a number is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

from companion._visible import visible
from companion.probes import Reading, layer_of
from companion.records import LineRecord

Value: TypeAlias = Literal["sum", "norm"]


def layers_of(records: Sequence[LineRecord]) -> list[str]:
    """Every layer that a record holds. The records tell: layers may come and go while they run."""
    return list(dict.fromkeys(layer_of(name) for r in records for name in r.after.parameters))


def chosen_layers(records: Sequence[LineRecord], wanted: Sequence[str] | str | None) -> list[str]:
    """Names of the layers to show, as the user asked for them; all by default.

    Raises:
        ValueError: If a name is in no record, or no layer is left.
    """
    known = layers_of(records)
    if wanted is None:
        return known
    chosen = [wanted] if isinstance(wanted, str) else list(wanted)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        problem = f"no layer {unknown[0]!r} in this trace" if unknown else "layers is empty"
        raise ValueError(f"{problem}; the trace has {visible(', '.join(known))}")
    return chosen


def number(reading: Reading | None, value: Value) -> str:
    """Sum or norm to four digits; "≈ 0" where the entries cancel, up to rounding noise."""
    if reading is None:
        return "None"
    number = reading.sum if value == "sum" else reading.norm
    size = math.hypot(number.real, number.imag)  # abs() raises where a complex one overflows
    if not reading.nonfinite and size <= 1e-5 * reading.norm:
        return "≈ 0" if reading.norm else "0"
    return f"{number:.2g}" if isinstance(number, complex) else f"{number:#.4g}".rstrip(".")
