"""The player's table: what every layer held on entering, then each line and what it changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from companion.records.finding import Finding
from companion.records.line import LineRecord, State
from companion.records.reading import Reading, by_layer, layer_of
from companion.render.finding import as_html, shown
from companion.render.layers import number
from companion.render.listing import code, margins
from companion.render.notes import also, notes
from companion.render.phases import part_in_words
from companion.render.values import beside


def bodies(
    records: Sequence[LineRecord], findings: Sequence[Finding], names: Sequence[str]
) -> Iterator[str]:
    """One tbody for what was there on entering, one for each line, one for each gap."""
    by_index: dict[int, list[Finding]] = {}
    for finding in findings:
        by_index.setdefault(finding.index, []).append(finding)
    indents = margins(records)
    places = [(r.file, r.function) for r in records]
    functions = list(dict.fromkeys(places))
    yield _body("", [_wide("before the first line", "rp-line"), *_rows(records[0].before, names)])
    previous = records[0].index - 1
    for record, place in zip(records, places, strict=True):
        gap = record.index - previous - 1
        if gap:
            yield _body(' data-gap=""', [_wide(f"{gap} lines not shown", "rp-line")])
        previous = record.index
        lines = [*code(record, record.indent - indents[place]), *part_in_words(record)]
        changes = bool(record.changed_gradients) + 2 * bool(record.changed_parameters)
        attributes = (
            f' data-place="{functions.index(place)}:{record.line}" data-step="{record.step}"'
            f' data-changes="{changes}"'
        )
        if len(functions) > 1:
            name = record.function or "top level"
            if not record.file.startswith("Cell In["):
                name += f", {os.path.basename(record.file)}"
            attributes += f' data-function="{shown(name)}"'
        rows = [_head(record.line, "\n".join(lines)), _wide(shown(_said(record)), "rp-note")]
        rows += [_wide(as_html(one), "rp-finding") for one in by_index.get(record.index, [])]
        rows += _rows(record.after, names, record, everything=bool(gap))
        yield _body(attributes, rows)


def _body(attributes: str, rows: Sequence[str]) -> str:
    return f"<tbody{attributes}>\n{''.join(rows)}</tbody>\n"


def _wide(content: str, kind: str) -> str:
    return f'<tr class="{kind}"><td colspan="5">{content}</td></tr>\n'


def _head(line: int, source: str) -> str:
    return (
        f'<tr class="rp-line"><th scope="row">{line}</th>'
        f'<td colspan="4"><code style="white-space: pre">{escape(source)}</code></td></tr>\n'
    )


def _said(record: LineRecord) -> str:
    """The note under a line, in words that hold without the table."""
    gradients, parameters = notes(record)
    others = also([record])
    neither = not (record.changed_gradients or record.changed_parameters or others)
    said = ["changes neither gradients nor parameters"] if neither else []
    said += [f"gradients: {gradients}"] if gradients else []
    said += [f"parameters: {parameters}"] if parameters else []
    said += [*others, *filter(None, [beside([record])])]
    return "; ".join([*said, f"raised {record.raised}"] if record.raised else said)


def _rows(
    state: State,
    names: Sequence[str],
    record: LineRecord | None = None,
    *,
    everything: bool = True,
) -> list[str]:
    """One row for each layer that the line changed, or for every layer."""
    moved = [
        {layer_of(name) for name in changed}
        for changed in (
            (record.changed_gradients, record.changed_parameters) if record else ((), ())
        )
    ]
    columns = [by_layer(state.gradients), by_layer(state.parameters)]
    return [
        _row(i, name, columns, [name in changed for changed in moved])
        for i, name in enumerate(names)
        if everything or any(name in changed for changed in moved)
    ]


def _row(
    i: int, name: str, columns: Sequence[Mapping[str, Reading | None]], changed: Sequence[bool]
) -> str:
    cells = []
    for readings, bold in zip(columns, changed, strict=True):
        reading = readings.get(name)
        if name not in readings:
            texts = ["", ""]  # no such layer at this moment
        else:
            texts = [_value(number(reading, "sum")), _value(number(reading, "norm"))]
        cells += [f"<td><b>{text}</b></td>" if bold else f"<td>{text}</td>" for text in texts]
    head = f'<th scope="row">{shown(name) or "(net)"}</th>'
    return f'<tr data-i="{i}">{" ".join([head, *cells])}</tr>\n'


def _value(number: str) -> str:
    return "<i>None</i>" if number == "None" else number
