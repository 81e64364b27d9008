"""A trace as a JSON file: written without pickle, read back by `companion.records.loading`.

A file begins with what it is: `{"format": "training-routine trace", "version": 1, ...}`. States
are written once each and referred to by number, for most lines leave everything as it was.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from companion.records.line import LineRecord, State
from companion.records.reading import Reading

FORMAT, VERSION = "training-routine trace", 1


def save(path: str | os.PathLike[str], network: str, records: Sequence[LineRecord]) -> None:
    """Write records into a file."""
    states: dict[int, int] = {}
    distinct: list[State] = []
    for record in records:
        for state in (record.before, record.after):
            if id(state) not in states:
                states[id(state)] = len(distinct)
                distinct.append(state)
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "network": network,
        "states": [_state_out(state) for state in distinct],
        "records": [
            {
                "file": record.file,
                "line": record.line,
                "source": record.source,
                "indent": record.indent,
                "before": states[id(record.before)],
                "after": states[id(record.after)],
                "changed_gradients": list(record.changed_gradients),
                "changed_parameters": list(record.changed_parameters),
                "raised": record.raised,
                "events": [[e.kind, e.name, _plain(e.details)] for e in record.events],
                "function": record.function,
                "depth": record.depth,
                "step": record.step,
            }
            for record in records
        ],
    }
    Path(path).write_text(json.dumps(whole, allow_nan=False), encoding="utf-8")


def _state_out(state: State) -> dict[str, Any]:
    return {
        "gradients": {name: _reading_out(r) for name, r in state.gradients.items()},
        "parameters": {name: _reading_out(r) for name, r in state.parameters.items()},
        "requires_grad": dict(state.requires_grad),
        "training": dict(state.training),
        "learning_rates": {n: [_number(x) for x in v] for n, v in state.learning_rates.items()},
        "scale": None if state.scale is None else _number(state.scale),
    }


def _reading_out(reading: Reading | None) -> list[Any] | None:
    if reading is None:
        return None
    total = reading.sum
    if isinstance(total, complex):
        return [
            [_number(total.real), _number(total.imag)],
            _number(reading.norm),
            reading.nonfinite,
        ]
    return [_number(total), _number(reading.norm), reading.nonfinite]


def _number(value: float) -> float | str:
    """JSON has no NaN and no infinity; they are written as text."""
    return value if math.isfinite(value) else str(float(value))


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "items"):
        return {str(name): _plain(one) for name, one in value.items()}
    return _number(value) if isinstance(value, float) else value
