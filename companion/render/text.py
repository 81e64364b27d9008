"""A trace as text: the lines that ran, each with what it changed."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from companion.probes import Reading, combine
from companion.records import LineRecord

WIDEST = 60  # columns of code; a longer line keeps its place and pushes only its own notes


def text(records: Sequence[LineRecord], *, network: str) -> str:
    """The annotated lines, one after another as they ran.

    Columns: line number, code, what happened to the gradients, what happened to the parameters.
    Each says how many of the network's tensors the line changed and how, then the L2 norm of all
    gradients (of all parameters) after the line.
    """
    if not records:
        return f"Trace of {network}: no line ran"
    shown = listing(records)
    width = min(WIDEST, max(len(line) for lines in shown for line in lines))
    digits = max(4, *(len(str(record.line)) for record in records))
    notes = [
        _note(record.changed_gradients, record.before.gradients, record.after.gradients)
        for record in records
    ]
    middle = max(len("gradients"), *map(len, notes))
    title = f"Trace of {network}, {len(records[0].after.parameters)} parameters"
    if not records[0].file.startswith("Cell In["):  # in a notebook the code stands right above
        title += f", {os.path.basename(records[0].file)}"
    out = [
        title,
        f"{'line':>{digits}}  {'code':<{width}}  {'gradients':<{middle}}  parameters",
    ]
    for record, lines, note in zip(records, shown, notes, strict=True):
        moved = _note(record.changed_parameters, record.before.parameters, record.after.parameters)
        first = f"{record.line:>{digits}}  {lines[0]:<{width}}  {note:<{middle}}  {moved}"
        out.append(first.rstrip())
        out += [f"{'':>{digits}}  {line}".rstrip() for line in lines[1:]]
        if record.raised:
            out.append(f"{'':>{digits}}  raised {textwrap.shorten(record.raised, 100)}")
    return "\n".join(out)


def listing(records: Sequence[LineRecord]) -> list[list[str]]:
    """The lines of each record's statement, indented as in the file, less what all share."""
    outermost = min(record.indent for record in records)
    return [
        [
            " " * (record.indent - outermost) + line
            for line in record.source.splitlines() or [f"(line {record.line}, source not known)"]
        ]
        for record in records
    ]


def _note(
    changed: Sequence[str],
    before: Mapping[str, Reading | None],
    after: Mapping[str, Reading | None],
) -> str:
    """Such as "10 None → value, norm 2.31"; "" where nothing changed."""
    if not changed:
        return ""
    kinds = Counter(_transition(before.get(name), after.get(name)) for name in changed)
    note = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    total = combine(after.values())
    if total is not None:
        note += f", norm {total.norm:.4g}"
        if total.nonfinite:
            note += f", {total.nonfinite} not finite"
    return note


def _transition(before: Reading | None, after: Reading | None) -> str:
    if before is None:
        return "None → value"
    return "value → None" if after is None else "changed"
