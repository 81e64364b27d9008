"""A second backward through one graph: what leads there, and what cures it, told from the lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from companion.diagnosis.behind import behind
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.slices import made_by
from companion.diagnosis.words import statement
from companion.records.flow import reads
from companion.records.line import LineRecord
from companion.records.statements import added, as_term, detaching, looped, root
from companion.records.syntax import added_to, bound
from companion.records.value import Value

AGAIN = "  # again, with the parameters as they are now"
ANEW = "  # in the loop, anew for every backward"

MOST = 8  # backward calls that are looked at

UNKNOWN = (
    "; no variable that these lines read is known to lead there: a list, an attribute or the "
    "network itself may keep a tensor that was computed before it"
)


@dataclass(frozen=True)
class Kept:
    """A variable that leads from one backward into the graph of an earlier one.

    Attributes:
        name: The variable.
        value: What was known of it; None for a tuple or another container.
        made: The line that bound it, before the earlier backward.
        reader: The line that read it, after the earlier one.
    """

    name: str
    value: Value | None
    made: LineRecord
    reader: LineRecord


def carried(ledger: Ledger, first: LineRecord, record: LineRecord) -> list[Kept]:
    """The variables that each pass of a loop binds, and that the next one computes with."""
    found = _kept_over(ledger.records, first, _after(ledger, first, record))
    return [one for one in found if _is_again(ledger, first, record, one)]


def explain(ledger: Ledger, record: LineRecord) -> tuple[str, str]:
    """What led to a second backward, as the end of a sentence, and the cure; "" where unknown."""
    records = ledger.records
    first = _freeing(records, record)
    if first is None:
        return "", ""
    between = records[first.index + 1 : record.index + 1]
    closure = ledger.words.closure(record)
    forward = _last_forward(records[: record.index])
    if closure is not None and forward is not None and forward.depth < record.depth:
        source = statement(forward)
        cure = f"def {closure[0]}():\n    {source}  # in here: each call needs its own\n    ..."
        return (
            f"; {closure[0]}() goes through it each time it is called, and the forward on line "
            f"{forward.line} stands outside of it",
            cure if source else "",
        )
    moved = any(_moves(one) for one in records[first.index : record.index])
    if not any(map(_computes, between)) and moved:
        return _again(records, first, record)
    found = _kept_over(records, first, between)
    if first.place != record.place and not moved:
        return _together(first, record, between)
    if not found:
        alone = first.place == record.place and not any(map(_computes, between))
        return _in_a_loop(records, record) if alone else (UNKNOWN, "")
    return _leading(ledger, first, record, found)


def _freeing(records: Sequence[LineRecord], record: LineRecord) -> LineRecord | None:
    """The last backward before whose loss comes from a graph that this one's comes from as well."""
    calls = [one for one in records[: record.index] if _calls(one) and not one.raised][-MOST:]
    mine = behind(records, record)
    for one in reversed(calls):
        shared = mine & behind(records, one)
        if any(i < one.index and _has_graph(records[i]) for i in shared):
            return one
    return calls[-1] if calls else None


def _has_graph(record: LineRecord) -> bool:
    return _computes(record) or any(value.graph for value in record.values)


def _calls(record: LineRecord) -> bool:
    return any(event.kind == "backward" for event in record.events)


def _computes(record: LineRecord) -> bool:
    return any(event.kind == "forward" and event.details["grad"] for event in record.events)


def _moves(record: LineRecord) -> bool:
    """Whether a line changes parameters, or would with another learning rate."""
    return bool(record.changed_parameters) or any(e.kind == "step" for e in record.events)


def _last_forward(records: Sequence[LineRecord]) -> LineRecord | None:
    return next(filter(_computes, reversed(records)), None)


def _again(records: Sequence[LineRecord], first: LineRecord, record: LineRecord) -> tuple[str, str]:
    """The parameters have moved, and nothing was computed with them since."""
    said = "; the parameters have moved since, and no forward came after that"
    lines = made_by(records[: first.index], reads(record.source), record.function)
    last = statement(record)
    if lines and lines[0] in map(statement, records[first.index + 1 : record.index]):
        return UNKNOWN, ""  # it was computed again, and that leads there as well
    if not lines or last is None:
        return said, ""
    remark = ANEW if first.place == record.place else AGAIN
    return said, "\n".join([f"{lines[0]}{remark}", *lines[1:], last])


def _together(
    first: LineRecord, record: LineRecord, between: Sequence[LineRecord]
) -> tuple[str, str]:
    """Two losses of one forward, two backward calls, and no step between."""
    said = f"; it shares a part of that graph with the backward() on line {first.line}"
    one, other = as_term(first.source), as_term(record.source)
    if one is None or other is None or first.function != record.function:
        return said, ""
    cleared = any(event.kind == "clear" for r in between for event in r.events)
    if cleared:
        inside = root(first.source)
        start = one if inside == one and not _has_operator(one) else f"({inside})"
        return said, f"{start}.backward(retain_graph=True)  # the graph is needed once more"
    return said, f"({one} + {other}).backward()  # one call in the place of both"


def _has_operator(text: str) -> bool:
    return any(sign in text for sign in " +-*/")


def _in_a_loop(records: Sequence[LineRecord], record: LineRecord) -> tuple[str, str]:
    """One line goes through several losses of one forward."""
    said = "; the same line went through it before, and no forward came between"
    for one in reversed(records[: record.index]):
        pair = looped(one.source)
        if pair is not None and one.function == record.function:
            if pair[0] == root(record.source):
                return said, f"sum({pair[1]}).backward()  # one call for all, instead of the loop"
            break
    return said, ""


def _kept_over(
    records: Sequence[LineRecord], first: LineRecord, between: Sequence[LineRecord]
) -> list[Kept]:
    """The variables with a graph that were bound before one backward, and read after it.

    Only lines that the later loss comes from lead there: others may read it for a log. One that an
    earlier loss comes from as well comes first.
    """
    made: dict[str, tuple[LineRecord, Value | None]] = {}
    for one in records[: first.index + 1]:
        made.update((value.name, (one, value)) for value in one.values)
        if _computes(one):
            for name, _ in bound(one.source):
                if all(value.name != name for value in one.values):
                    made[name] = (one, None)
    last, found = between[-1], list[Kept]()
    leading = behind(between, last)
    for one in between:
        is_reader = one.index in leading and (one is last or _uses(records, one))
        for name in reads(one.source) if is_reader else ():
            if name in made and made[name][0].function == one.function:
                line, value = made[name]
                if value is None or value.graph:
                    found.append(Kept(name, value, line, one))
        for name, _ in bound(one.source):
            made.pop(name, None)
    gone = _gone(records[: first.index + 1])
    found.sort(key=lambda one: (one.made.index not in gone, one.value is None))
    return found


def let_go(found: Sequence[Kept]) -> str | None:
    """The variables that go on to the next pass, without graphs; None where that is not plain."""
    names = {one.name: one.value for one in found}
    if names and None not in names.values():
        return f"{', '.join(names)} = {', '.join(f'{name}.detach()' for name in names)}"
    name = next(iter(names), None)
    return f"{name} = tuple(one.detach() for one in {name})" if len(names) == 1 else None


def _gone(records: Sequence[LineRecord]) -> set[int]:
    """The lines that the losses of the last backward calls may come from."""
    calls = [one for one in records if _calls(one) and not one.raised]
    return set[int]().union(*(behind(records, one) for one in calls[-MOST:]))


def _uses(records: Sequence[LineRecord], one: LineRecord) -> bool:
    """Whether a line computes with graphs, or calls a function whose lines are known."""
    following = records[one.index + 1] if one.index + 1 < len(records) else None
    calls = following is not None and following.depth > one.depth
    return calls or _has_graph(one)


def _leading(
    ledger: Ledger, first: LineRecord, record: LineRecord, found: Sequence[Kept]
) -> tuple[str, str]:
    """A variable leads into the graph that is gone."""
    kept, loss = found[0], root(record.source)
    name = kept.name
    said = (
        f"; {name}, which line {kept.reader.line} reads, was computed on line {kept.made.line} "
        f"before the backward() on line {first.line}"
    )
    if name in added_to(kept.reader.source):
        term = added(kept.reader.source)
        if term is None or loss != name:
            return said, ""
        cure = f"{term}.backward()  # this batch's alone\n{name} += {term}.item()  # a number"
        return said, cure
    again = [one for one in found if _is_again(ledger, first, record, one)]
    if first.place == record.place and kept in again:
        whole = let_go(again)
        return said, f"{whole}  # for the next batch, when backward() is over" if whole else ""
    value = kept.value
    lines = made_by(ledger.records[: first.index + 1], [name], kept.made.function)
    if not lines or value is None:
        return said, ""
    if first.place == record.place:
        return said, "\n".join([f"{lines[0]}{ANEW}", *lines[1:]])
    if value.unreached is None:
        return said, ""
    wanted = {n for n, is_wanted in record.before.requires_grad.items() if is_wanted}
    reached = wanted - set(value.unreached)
    held = {
        n
        for one in _after(ledger, first, record)
        for event in one.events
        if event.kind == "step"
        for n in event.details["held"]
    }
    if held & reached:
        return said, "\n".join([f"{lines[0]}{AGAIN}", *lines[1:]])
    return said, _cut(ledger, first, kept)


def _is_again(ledger: Ledger, first: LineRecord, record: LineRecord, kept: Kept) -> bool:
    """Whether the line that made a variable has run again between two backward calls."""
    return any(one.place == kept.made.place for one in _after(ledger, first, record))


def _after(ledger: Ledger, first: LineRecord, record: LineRecord) -> Sequence[LineRecord]:
    return ledger.records[first.index + 1 : record.index + 1]


def _cut(ledger: Ledger, first: LineRecord, kept: Kept) -> str:
    """The earlier loss is not meant for what made the variable: it takes it detached."""
    for one in ledger.records[kept.made.index + 1 : first.index + 1]:
        same = one.function == kept.made.function
        if same and kept.name in reads(one.source) and _uses(ledger.records, one):
            return detaching(one.source, kept.name) or ""
    return ""
