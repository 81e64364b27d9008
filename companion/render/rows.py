"""A trace as a table: flat dicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from companion.probes import Reading, layer_of
from companion.records import LineRecord


def rows(records: Iterable[LineRecord]) -> list[dict[str, Any]]:
    """One dict for each line and parameter; `Trace.to_rows` says what its keys are."""
    return [
        {
            "index": record.index,
            "step": record.step,
            "file": record.file,
            "line": record.line,
            "function": record.function,
            "depth": record.depth,
            "source": record.source,
            "raised": record.raised,
            "events": ", ".join(event.kind for event in record.events),
            "parameter": name,
            "layer": layer_of(name),
            "requires_grad": record.after.requires_grad.get(name),
            **_columns(
                "gradient", record.after.gradients.get(name), name in record.changed_gradients
            ),
            **_columns(
                "parameter", record.after.parameters.get(name), name in record.changed_parameters
            ),
        }
        for record in records
        for name in dict.fromkeys([*record.after.parameters, *record.before.parameters])
    ]


def _columns(what: str, reading: Reading | None, changed: bool) -> dict[str, Any]:
    return {
        f"{what}_changed": changed,
        f"{what}_sum": None if reading is None else reading.sum,
        f"{what}_norm": None if reading is None else reading.norm,
        f"{what}_nonfinite": None if reading is None else reading.nonfinite,
    }
