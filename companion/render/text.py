"""A trace as text: the lines that ran, each with what it changed, and the findings.

From simple to complex: `text` (the whole), `_as_they_ran` (a short trace, line after line),
`_as_written` (a long one, each line of the source once).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from companion.records.finding import Finding
from companion.records.line import LineRecord
from companion.records.visible import visible
from companion.render.columns import wrapped
from companion.render.counts import began_in_words, steps_in_words
from companion.render.finding import as_text, ignored_in_words
from companion.render.listing import code, listing, margins
from companion.render.notes import also, notes
from companion.render.paint import Paint, plain
from companion.render.phases import by_phases, in_a_library
from companion.render.table import Row, table
from companion.render.values import beside

LONGEST = 60  # records; a longer trace is shown as written, each line once


def text(
    records: Sequence[LineRecord],
    *,
    network: str,
    findings: Sequence[Finding] = (),
    unwatched: Sequence[str] = (),
    guard: Sequence[str] = (),
    ignored: Sequence[Finding] = (),
    as_written: bool = False,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """The annotated lines, and what the diagnosis found.

    Columns: line number, code, what happened to the gradients, what happened to the parameters.
    Each says how many of the networks' tensors the line changed and how, then the L2 norm of all
    gradients (of all parameters) after the line. Then what else the line changed, and what it
    bound to variables: across both columns, where it left gradients and parameters alone. Below a
    line stand the rules that object to it. A trace of more than 60 lines is shown as written: each
    line of the source once, with how often it ran and what its last effect was, runs that raised
    apart from the others; so is any with `as_written`. Names and code are shown as `visible` shows
    them. Last stands what was not looked at, if anything was not, what was seen after the
    watched steps, and which findings a comment accepts.
    """
    network = visible(network)
    rest = [f"not watched: {visible(words)}" for words in unwatched]
    rest += [f"guard: {visible(words)}" for words in guard]
    rest += [f"ignored: {ignored_in_words(ignored)}"] if ignored else []
    rest = [line for words in rest for line in wrapped(words, width)]
    if not records:
        return "\n".join([f"Trace of {network}: no line ran", *rest])
    if in_a_library(records):
        last = ["\n".join(rest)] if rest else []
        return "\n\n".join(
            [
                "\n".join(by_phases(records, findings, width, paint)),
                *(as_text(one, width, paint) for one in findings),
                *last,
            ]
        )
    short = len(records) <= LONGEST and not as_written
    rows = _as_they_ran(records, findings) if short else _as_written(records, findings)
    title = f"Trace of {network}, {len(records[0].after.parameters)} parameters"
    if not records[0].file.startswith("Cell In["):  # in a notebook the code stands right above
        title += f", {visible(os.path.basename(records[0].file))}"
    if not short:
        count = sum(not record.again for record in records)
        title += f", {count} lines run in {steps_in_words(records)}"
        title += f", {began}" if (began := began_in_words(records)) else ""
    head = [paint("title", line) for line in wrapped(title, width)]
    head += table(rows, runs=not short, width=width, paint=paint)
    told = [as_text(one, width, paint) for one in findings]
    return "\n\n".join(["\n".join(head), *told, *(["\n".join(rest)] if rest else [])])


def _as_they_ran(records: Sequence[LineRecord], findings: Sequence[Finding]) -> list[Row]:
    """One row for each record."""
    blamed: dict[int, list[tuple[str, bool]]] = {}
    for finding in findings:
        blamed.setdefault(finding.index, []).append((finding.rule, finding.certain))
    return [
        Row(
            str(record.line),
            lines,
            *notes(record),
            "  ".join(also([record])),
            beside([record]),
            blamed.get(record.index, []),
            record.raised,
        )
        for record, lines in zip(records, listing(records), strict=True)
    ]


def _as_written(records: Sequence[LineRecord], findings: Sequence[Finding]) -> list[Row]:
    """One row for each line of the source, function by function in the order they first ran."""
    groups: dict[tuple[str, str, int], list[LineRecord]] = {}
    for record in records:
        groups.setdefault((record.file, record.function, record.line), []).append(record)
    order: dict[tuple[str, str], int] = {}
    for file, function, _ in groups:
        order.setdefault((file, function), len(order))
    blamed: dict[tuple[str, int], list[tuple[str, bool]]] = {}
    for finding in findings:
        one = finding.rule, finding.certain
        blamed.setdefault((finding.file, finding.line), []).append(one)
    ordered = sorted(groups, key=lambda key: (order[key[:2]], key[2]))
    chosen = [_telling(groups[key]) for key in ordered]
    indents, rows = margins(chosen), []
    shown: tuple[str, str] | None = None
    for (file, function, line), record in zip(ordered, chosen, strict=True):
        if len(order) > 1 and (file, function) != shown:
            shown = (file, function)
            title = f"# {function or 'top level'}, {os.path.basename(file)}"
            rows.append(Row(code=[visible(title)]))
        group = groups[file, function, line]
        lines = code(record, record.indent - indents[file, function])
        rules = blamed.get((file, line), [])
        well = [one for one in group if not one.raised]
        for runs, stands in (well, record), *(([one], one) for one in group if one.raised):
            if runs:  # a run that raised stands apart: it may have done another thing
                rows.append(
                    Row(
                        f"{max(1, sum(not one.again for one in runs))}x {line:5}",
                        lines,
                        *notes(stands),
                        "  ".join(also(runs)),
                        beside(runs),
                        rules,
                        stands.raised,
                    )
                )
                rules = []
    return rows


def _telling(group: Sequence[LineRecord]) -> LineRecord:
    """The run of a line that stands for all that ended well: the last that changed something."""
    well = [r for r in group if not r.raised] or group
    changed = [r for r in well if r.changed_gradients or r.changed_parameters]
    return _joined(changed[-1] if changed else well[-1], well)


def _joined(record: LineRecord, group: Sequence[LineRecord]) -> LineRecord:
    """A record, with those right beside it of the same run: several calls that stand on a line."""
    known = {one.index: one for one in group}
    first = last = record
    while first.again and first.index - 1 in known:
        first = known[first.index - 1]
    while last.index + 1 in known and known[last.index + 1].again:
        last = known[last.index + 1]
    run = [known[index] for index in range(first.index, last.index + 1)]
    return replace(
        record,
        before=first.before,
        after=last.after,
        changed_gradients=_union(one.changed_gradients for one in run),
        changed_parameters=_union(one.changed_parameters for one in run),
        events=tuple(event for one in run for event in one.events),
    )


def _union(names: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in names for name in some))
