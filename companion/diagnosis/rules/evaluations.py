"""Forwards that nothing learns from, though gradients were enabled."""

from __future__ import annotations

from collections.abc import Iterator

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import Sighting, some
from companion.records.line import Event, LineRecord


def with_a_graph(ledger: Ledger) -> Iterator[Sighting]:
    """Forwards in training mode after a step whose graph no backward goes back through.

    Others do, and from other lines: a batch that was skipped is no evaluation. What comes before
    the step, in the order of the lines, may serve the next one: labels that the network makes up.
    """
    forwards: list[tuple[LineRecord, Event]] = []
    reached: set[int] = set()
    modal: dict[str, None] = {}
    for record, event in ledger.of("forward"):
        if "number" in event.details:
            forwards.append((record, event))
        modal |= dict.fromkeys(event.details["modal"] if event.details["training"] else ())
    backwards = list(ledger.of("backward"))
    for _, event in backwards:
        reached.update(event.details.get("reaches", ()))
    if not modal or not reached:
        return
    learning = {r.place for r, e in forwards if e.details["number"] in reached}
    steps = [record for record, _ in ledger.of("step")]
    for record, event in forwards:
        number = event.details["number"]
        if number in reached or number > max(reached) or record.place in learning:
            continue
        last = next((step for step in reversed(steps) if step.index < record.index), None)
        if last is not None and _comes_after(ledger, record, last):
            yield Sighting(
                record,
                f"{event.name} ran in training mode, and has {some(list(modal))}; gradients were "
                "enabled, and no backward() went back through this forward",
                settle="whether the randomness, or new batch statistics, are what this forward is "
                "for",
            )


def serving(ledger: Ledger) -> set[object]:
    """The lines whose values go into a loss: labels that the network makes up, say."""
    return {
        line.place
        for backward, _ in ledger.of("backward")
        for _, line, _ in ledger.flow.ancestors(backward)
    }


def _comes_after(ledger: Ledger, record: LineRecord, step: LineRecord) -> bool:
    """Whether a line stands below the step in a function that both were called from."""
    mine = {(r.file, r.function): r.line for r in _callers(ledger, record)}
    theirs = {(r.file, r.function): r.line for r in _callers(ledger, step)}
    shared = [key for key in mine if key in theirs]
    return bool(shared) and mine[shared[0]] > theirs[shared[0]]


def _callers(ledger: Ledger, record: LineRecord) -> Iterator[LineRecord]:
    """A line, the one that called its function, and so on."""
    yield record
    for earlier in reversed(ledger.records[: record.index]):
        if earlier.depth < record.depth:
            record = earlier
            yield record
