"""A trace as a JSON file: written without pickle, read back by `companion.records.loading`.

A file begins with what it is: `{"format": "training-routine trace", "version": 1, ...}`. States
are written once each and referred to by number, for most lines leave everything as it was.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from companion.records.line import LineRecord, State
from companion.records.phase import Phase
from companion.records.reading import Reading
from companion.records.uncollected import uncollected
from companion.records.value import Value

FORMAT, VERSION = "training-routine trace", 1


def save(path: str | os.PathLike[str], network: str, records: Sequence[LineRecord]) -> None:
    """Write records into a file."""
    with uncollected():
        text = json.dumps(_whole(network, records), allow_nan=False)
    Path(path).write_text(text, encoding="utf-8")


def _whole(network: str, records: Sequence[LineRecord]) -> dict[str, Any]:
    states: dict[int, int] = {}
    distinct: list[State] = []
    for record in records:
        for state in (record.before, record.after):
            if id(state) not in states:
                states[id(state)] = len(distinct)
                distinct.append(state)
    return {
        "format": FORMAT,
        "version": VERSION,
        "network": network,
        "states": list(map(_States().out, distinct)),
        "records": [
            {
                **plain(record),
                "before": states[id(record.before)],
                "after": states[id(record.after)],
            }
            for record in records
        ],
    }


def plain(record: LineRecord) -> dict[str, Any]:
    """A record as plain data, without the states before and after it."""
    return {
        "file": record.file,
        "line": record.line,
        "source": record.source,
        "indent": record.indent,
        "changed_gradients": list(record.changed_gradients),
        "changed_parameters": list(record.changed_parameters),
        "raised": record.raised,
        "events": [[e.kind, e.name, _plain(e.details)] for e in record.events],
        "function": record.function,
        "depth": record.depth,
        "step": record.step,
        "values": [_value_out(value) for value in record.values],
        "changed_buffers": list(record.changed_buffers),
        "changed_others": list(record.changed_others),
        "again": record.again,
        "phase": _phase_out(record.phase),
    }


class _States:
    """Puts states into plain dicts: what two of them share is put together once."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, Any]] = {}  # by the id of a mapping that a state holds

    def out(self, state: State) -> dict[str, Any]:
        return {
            "gradients": self._part(state.gradients, _reading_out),
            "parameters": self._part(state.parameters, _reading_out),
            "requires_grad": self._part(state.requires_grad, bool),
            "training": self._part(state.training, bool),
            "learning_rates": self._part(state.learning_rates, _rates_out),
            "scale": None if state.scale is None else _number(state.scale),
            "buffers": self._part(state.buffers, _reading_out),
            "others": self._part(state.others, _reading_out),
        }

    def _part(self, mapping: Mapping[str, Any], out: Callable[[Any], Any]) -> dict[str, Any]:
        known = self._known.get(id(mapping))
        if known is None:
            known = self._known[id(mapping)] = {name: out(one) for name, one in mapping.items()}
        return known


def _rates_out(rates: Sequence[float]) -> list[float | str]:
    return [_number(rate) for rate in rates]


def _value_out(value: Value) -> list[Any]:
    """Its fields, in their order."""
    return [
        value.name,
        value.dtype,
        value.shape,
        None if value.number is None else _number(value.number),
        value.nonfinite,
        value.graph,
        value.unreached,
    ]


def _phase_out(phase: Phase | None) -> list[Any] | None:
    if phase is None:
        return None
    loss = None if phase.loss is None else _number(phase.loss)
    return [phase.library, phase.function, loss]


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
