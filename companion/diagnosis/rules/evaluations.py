"""Forwards that nothing learns from: which of them serve a loss all the same."""

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
    modal = {
        name
        for _, event in ledger.of("forward")
        if event.details["training"]
        for name in event.details["modal"]
    }
    for record, event in below_the_step(ledger) if modal else ():
        yield Sighting(
            record,
            f"{event.name} ran in training mode, and has {some(sorted(modal))}; gradients were "
            "enabled, and no backward() went back through this forward",
            settle="whether the randomness, or new batch statistics, are what this forward is for",
        )


def below_the_step(ledger: Ledger) -> Iterator[tuple[LineRecord, Event]]:
    """Forwards that no backward goes back through, on a line below the step that came before.

    Later ones are gone through, and all of those stand on other lines. Of one network only: of
    several nobody counts the forwards.
    """
    forwards = [(r, e) for r, e in ledger.of("forward") if "number" in e.details]
    reached = {n for _, e in ledger.of("backward") for n in e.details.get("reaches", ())}
    learning = {r.place for r, e in forwards if e.details["number"] in reached}
    steps = [record for record, _ in ledger.of("step")]
    for record, event in forwards:
        number = event.details["number"]
        if number in reached or number > max(reached, default=-1) or record.place in learning:
            continue
        last = next((step for step in reversed(steps) if step.index < record.index), None)
        same = [] if last is None else [step for step in steps if step.place == last.place]
        if same and _comes_after(ledger, record, [same[0], *same[-2:]]):
            yield record, event


def that_serve(ledger: Ledger) -> set[tuple[str, int]]:
    """Lines whose forwards, without gradients, go into a later loss: labels made up, a first pass.

    Once is enough: of the last step the backward may not have been watched.
    """
    forwards = {r.index: r for r, e in ledger.of("forward") if not e.details["grad"]}
    return {
        line.place
        for record, _ in (ledger.of("backward") if forwards else ())
        for _, line, _ in ledger.flow.ancestors(record)
        if line.index in forwards
    }


def _comes_after(ledger: Ledger, record: LineRecord, steps: list[LineRecord]) -> bool:
    """Whether a line stands below the steps in a function that both were called from.

    Of the first ones it may not have been seen from where they were called.
    """
    mine = {(r.file, r.function): r.line for r in _callers(ledger, record)}
    theirs: dict[tuple[str, str], int] = {}
    for step in steps:
        for caller in _callers(ledger, step):
            key = caller.file, caller.function
            theirs[key] = max(theirs.get(key, 0), caller.line)
    shared = [key for key in mine if key in theirs]
    return bool(shared) and mine[shared[0]] > theirs[shared[0]]


def _callers(ledger: Ledger, record: LineRecord) -> Iterator[LineRecord]:
    """A line, the one that called its function, and so on."""
    yield record
    for earlier in reversed(ledger.records[: record.index]):
        if earlier.depth < record.depth:
            record = earlier
            yield record
