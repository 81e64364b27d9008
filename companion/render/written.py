"""A trace by the lines of its source, as plain data for a JSON file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from companion.records.line import LineRecord
from companion.records.phase import Phase
from companion.render.notes import also

CHANGED = ("changed_gradients", "changed_parameters", "changed_buffers", "changed_others")


def written(records: Sequence[LineRecord]) -> list[dict[str, Any]]:
    """Each line of the source once, in the order in which they first ran.

    Where a library runs the loop, so is each part of the line that calls it.

    Returns:
        Dicts of file, line, function, source, phase (the library's function that begins a part;
        else None), events (their kinds), losses (what a part has made), runs, raised (a text, or
        None), the names of the gradients, parameters, buffers and others that any run changed,
        also: what else runs changed, in words, such as learning rates and modes, and values: by
        variable, what each run bound, a number or a shape. Numbers that JSON lacks are texts:
        "nan", "inf", "-inf".
    """
    lines: dict[tuple[str, str, int, Phase | None], dict[str, Any]] = {}
    runs: dict[tuple[str, str, int, Phase | None], list[LineRecord]] = {}
    for record in records:
        phase = None if record.phase is None else replace(record.phase, loss=None)
        place = record.file, record.function, record.line, phase
        runs.setdefault(place, []).append(record)
        line = lines.setdefault(
            place,
            {
                "file": record.file,
                "line": record.line,
                "function": record.function,
                "source": record.source,
                "phase": None if phase is None else phase.function,
                "events": {},
                "losses": [],
                "runs": 0,
                "raised": None,
                "changed_gradients": {},
                "changed_parameters": {},
                "changed_buffers": {},
                "changed_others": {},
                "also": [],
                "values": {},
            },
        )
        line["runs"] += not record.again or phase is not None
        line["events"].update(dict.fromkeys(event.kind for event in record.events))
        if record.phase is not None and record.phase.loss is not None:
            line["losses"].append(_number(record.phase.loss))
        line["raised"] = record.raised or line["raised"]
        for what in CHANGED:
            line[what].update(dict.fromkeys(getattr(record, what)))
        for value in record.values:
            shape = None if value.shape is None else list(value.shape)
            told = shape if value.number is None else _number(value.number)
            line["values"].setdefault(value.name, []).append(told)
    for place, line in lines.items():
        line["also"] = also(runs[place])
        for what in (*CHANGED, "events"):
            line[what] = list(line[what])
    return list(lines.values())


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
