"""A loop that a library runs, as text: the parts of one of the user's lines, and his own lines.

From simple to complex: `in_a_library` (whether a trace is one), `by_phases` (the whole), and below
it what a part was and what it changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from companion.records.finding import Finding
from companion.records.line import Event, LineRecord
from companion.records.reading import combine
from companion.records.visible import visible
from companion.render.columns import wrapped
from companion.render.counts import began_in_words, steps_in_words
from companion.render.listing import code, margins
from companion.render.notes import also, cleared_already
from companion.render.paint import Paint, plain
from companion.render.parts import Part, parts_table
from companion.render.values import beside

MOST = 4  # numbers that are told one by one

# What a part is called, by the kind of its event.
_CALLS = {"step": "step", "clear": "zero_grad", "schedule": "step", "backward": "backward"}
_CALLS |= {"scale": "scale", "unscale": "unscale", "scaler step": "GradScaler.step"}


def in_a_library(records: Sequence[LineRecord]) -> str:
    """The library's function that runs the loop, "transformers.Trainer.train"; "" where none does.

    Example:
        >>> in_a_library([])
        ''
    """
    for record in records:
        if record.phase is not None and (record.changed_parameters or _has(record, "step")):
            return record.phase.library
    return ""


def watched_in_words(
    records: Sequence[LineRecord], findings: int, every: int = 1, made: int | None = None
) -> str:
    """Such as "watched 3 steps inside transformers.Trainer.train(), no findings".

    Args:
        records: What was watched.
        findings: How many there are.
        every: One step in so many was watched.
        made: How many there were, where fewer were watched than were to be.
    """
    library = in_a_library(records)
    inside = f" inside {visible(library)}()" if library else ""
    some = f", one in {every}" if every > 1 else ""
    steps = steps_in_words(records) + ("" if made is None else f" of {made}")
    return f"watched {steps}{some}{inside}, {findings or 'no'} finding" + (
        "" if findings == 1 else "s"
    )


def by_phases(
    records: Sequence[LineRecord],
    findings: Sequence[Finding],
    width: int | None = None,
    paint: Paint = plain,
) -> list[str]:
    """The user's line that calls the library, and a row for each part of it, in their order.

    Lines of the user's own that the library calls stand where they run. Each row says how often it
    ran, which function of the library makes the call (or whose step it is), what it is, and what it
    changed, of the last run that changed something.
    """
    first = next(record for record in records if record.phase is not None)
    source = visible(first.source.splitlines()[0]) if first.source else ""
    title = f"your line: {visible(os.path.basename(first.file))}:{first.line}  {source}"
    facts = [_counted(len(first.after.parameters), "parameter"), *_kinds(records)]
    facts += [f"{steps_in_words(records)}, {began}"] if (began := began_in_words(records)) else []
    out = [paint("title", line) for line in wrapped(title, width, deeper=4)]
    out += wrapped(f"  {', '.join(facts)}", width)
    return out + parts_table([*_rows(records, findings)], width, paint)


def _rows(records: Sequence[LineRecord], findings: Sequence[Finding]) -> Iterable[Part]:
    """One for each part, and for each line of the user's, in the order in which they first ran."""
    blamed: dict[int, list[tuple[str, bool]]] = {}
    for finding in findings:
        blamed.setdefault(finding.index, []).append((finding.rule, finding.certain))
    groups: dict[tuple[str, ...], list[LineRecord]] = {}
    calling = {record.place for record in records if record.phase is not None}
    for record in records:
        if record.phase is not None or record.place not in calling:
            groups.setdefault(_key(record), []).append(record)
    indents, shown = margins(records), ("", "")
    for group in _in_order(groups):
        rules = [rule for record in group for rule in blamed.get(record.index, [])]
        record = group[-1]
        if record.phase is not None:
            if row := _part(group, rules):
                shown = ("", "")
                yield row
            continue
        place = record.file, record.function
        if place != shown:
            shown = place
            name = f"# {record.function or 'top level'}, {os.path.basename(record.file)}"
            yield Part("", visible(name), None)
        lines = code(record, record.indent - indents[place])
        number = max(1, sum(not one.again for one in group))
        yield Part(f"{number}x", f"{record.line:4}  {lines[0]}", None, _changed(group), rules)


def _key(record: LineRecord) -> tuple[str, ...]:
    if record.phase is None:
        return "line", record.file, record.function, str(record.line)
    return "part", record.phase.function, *_whose(record)


def _in_order(groups: dict[tuple[str, ...], list[LineRecord]]) -> list[list[LineRecord]]:
    """The groups, each function's lines together and in the order of its source."""
    place: dict[tuple[str, ...], int] = {}
    for key in groups:
        place.setdefault(key[:3] if key[0] == "line" else key, len(place))
    ordered = sorted(
        groups, key=lambda key: (place[key[:3] if key[0] == "line" else key], groups[key][0].line)
    )
    found = [groups[key] for key in ordered]
    if found and _has(found[0][0], "backward"):  # watched from there on: the forward comes first
        while len(found) > 1 and _has(found[-1][0], "forward"):
            found.insert(0, found.pop())
    return found


def _part(group: Sequence[LineRecord], rules: Sequence[tuple[str, bool]]) -> Part | None:
    """A part of the library's, or what nobody began, where that changed something."""
    record = group[-1]
    assert record.phase is not None
    where, what = _whose(record)
    if not where:
        where = record.phase.function
    if not what and not where:
        where = record.phase.library.partition(".")[2]
    changed = _changed(group)
    losses = [one.phase.loss for one in group if one.phase and one.phase.loss is not None]
    if losses:
        what += ", loss" if _has(record, "forward") else ""
        changed.insert(0, ("also", f"loss {_chain(losses)}"))
    if not changed and not what and not rules:
        return None
    if not changed and (nothing := _nothing(record)):
        changed.append(("also", nothing))
    return Part(f"{len(group)}x", visible(where), visible(what), changed, rules)


def _whose(record: LineRecord) -> tuple[str, str]:
    """Whose part it is, where that is no function of the library, and what it is."""
    events = {event.kind: event for event in record.events}
    phase = record.phase
    function = phase.function if phase is not None else ""
    for kind in ("step", "schedule", "clear", "clip", "backward", "unscale", "scaler step"):
        if kind not in events:
            continue
        event = events[kind]
        if kind == "clip":
            return "", f"clip{_limit(event)}"
        if kind == "backward" and "forward" in events:
            return "", "forward, backward"
        if kind == "schedule":
            return str(event.details.get("scheduler", "")), "step"
        return event.name if kind in ("step", "clear") else "", _CALLS[kind]
    if "forward" in events:
        return "", "forward" if events["forward"].details["grad"] else "forward, no gradients"
    if "scale" in events:
        return "", _CALLS["scale"]
    owner, _, method = function.rpartition(".")
    return (owner, method) if method in ("step", "zero_grad") else ("", "")


def part_in_words(record: LineRecord) -> list[str]:
    """Which part of its line a record is, as a comment below it: "# AdamW: step"; none of most."""
    if record.phase is None:
        return []
    where, what = _whose(record)
    where = where or record.phase.function or record.phase.library
    loss = "" if record.phase.loss is None else f", loss {record.phase.loss:.4g}"
    return [f"# {visible(where)}{f': {visible(what)}' if what else ''}{loss}"]


def _limit(event: Event) -> str:
    limit = event.details.get("limit")
    return "" if limit is None else f" to {limit}"


def _number(clip: Event) -> float | None:
    """The limit; a stranger's trace may say anything."""
    try:
        return float(clip.details.get("limit") or "")
    except ValueError:
        return None


def _changed(runs: Sequence[LineRecord]) -> list[tuple[str, str]]:
    """What the last run that changed something changed, of what kind; rates as they went."""
    changing = [run for run in runs if run.changed_gradients or run.changed_parameters]
    said = _tensors(changing[-1]) if changing else []
    return said + [("also", words) for words in (*also(runs), beside(runs)) if words]


def _tensors(record: LineRecord) -> list[tuple[str, str]]:
    """The gradients and parameters that were changed, and what the gradients came to."""
    said = []
    if record.changed_gradients:
        after = [record.after.gradients.get(name) for name in record.changed_gradients]
        whole = combine(record.after.gradients.values())
        words = _counted(len(after), "gradient")
        if all(one is None for one in after):
            words += " → None"
        elif whole is not None and not whole.norm and not whole.nonfinite:
            words += " → 0"
        elif whole is not None:
            words += f", norm {whole.norm:.4g}"
            words += f", {whole.nonfinite} not finite" if whole.nonfinite else ""
        said.append(("gradients", words))
    if record.changed_parameters:
        said.append(("parameters", _counted(len(record.changed_parameters), "parameter")))
    return said


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _chain(numbers: Sequence[float]) -> str:
    told = [f"{number:.4g}" for number in numbers]
    return " → ".join(told if len(told) <= MOST else [*told[:2], "…", told[-1]])


def _nothing(record: LineRecord) -> str:
    """Why a part changed nothing, where that can be said."""
    clips = [event for event in record.events if event.kind == "clip"]
    if not clips:
        return cleared_already(record)
    whole, limit = combine(record.after.gradients.values()), _number(clips[-1])
    by_value = clips[-1].name == "clip_grad_value_"
    if not by_value and whole is not None and limit is not None and whole.norm <= limit:
        return "nothing: the norm was below"
    return "nothing"


def _has(record: LineRecord, kind: str) -> bool:
    return any(event.kind == kind for event in record.events)


def _kinds(records: Sequence[LineRecord]) -> list[str]:
    """The optimizers and schedulers that stepped, by the names that events give them."""
    names: dict[str, None] = {}
    for record in records:
        for event in record.events:
            if event.kind == "step":
                names[str(event.details.get("class", event.name))] = None
            elif event.kind == "schedule":
                names[str(event.details.get("scheduler", ""))] = None
    return [visible(name) for name in names if name]
