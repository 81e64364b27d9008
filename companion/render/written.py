"""A trace by the lines of its source, as plain data for a JSON file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from companion.records.line import LineRecord

CHANGED = ("changed_gradients", "changed_parameters", "changed_buffers", "changed_others")


def written(records: Sequence[LineRecord]) -> list[dict[str, Any]]:
    """Each line of the source once, in the order in which they first ran.

    Returns:
        Dicts of file, line, function, source, runs, raised (a text, or None), the names of the
        gradients, parameters, buffers and others that any run changed, and values: by variable,
        what each run bound, a number or a shape. Numbers that JSON lacks are texts: "nan",
        "inf", "-inf".
    """
    lines: dict[tuple[str, str, int], dict[str, Any]] = {}
    for record in records:
        line = lines.setdefault(
            (record.file, record.function, record.line),
            {
                "file": record.file,
                "line": record.line,
                "function": record.function,
                "source": record.source,
                "runs": 0,
                "raised": None,
                "changed_gradients": {},
                "changed_parameters": {},
                "changed_buffers": {},
                "changed_others": {},
                "values": {},
            },
        )
        line["runs"] += not record.again
        line["raised"] = record.raised or line["raised"]
        for what in CHANGED:
            line[what].update(dict.fromkeys(getattr(record, what)))
        for value in record.values:
            shape = None if value.shape is None else list(value.shape)
            told = shape if value.number is None else _number(value.number)
            line["values"].setdefault(value.name, []).append(told)
    for line in lines.values():
        for what in CHANGED:
            line[what] = list(line[what])
    return list(lines.values())


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
