"""What a step is fed: the same rows again and again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import STEPS, Sighting, rule
from companion.records.line import Event, LineRecord

_FIRST = re.compile(r"\bnext\(\s*iter\(\s*([A-Za-z_][\w.]*)\s*\)\s*\)")


@rule(
    "same-batch",
    why="iter() begins a loader anew, and next() takes its first batch: no step sees the rest.",
    cure="batches = iter(loader)  # once, before the loop\nx, y = next(batches)",
    section=f"{STEPS}#losses-that-are-fed-wrong",
)
def same_batch(ledger: Ledger) -> Iterator[Sighting]:
    """A loader is begun anew for every step, and each step learns from the same first batch."""
    several = len({event.name for _, event in ledger.of("forward")}) > 1
    before: set[str] = set()  # the inputs since the fetch before
    now: set[str] = set()
    fetched: tuple[LineRecord, Event] | None = None
    hit: tuple[LineRecord, Event] | None = None
    learnt: tuple[LineRecord, Event] | None = None
    for record in ledger.records:
        for event in record.events:
            if event.kind == "same rows":
                before, now, fetched = now, set(), (record, event)
            elif event.kind == "forward" and event.details["grad"]:
                batch = event.details.get("batch")
                if batch in before and fetched is not None:
                    hit = fetched
                elif not several:  # what came before was no training
                    hit = None
                if batch is not None:
                    now.add(batch)
            elif event.kind == "backward":
                hit, learnt = None, hit or learnt
            elif event.kind == "step" and learnt is not None:
                where, rows = learnt
                learnt = None
                if re.search(r"\bnext\(", where.source):  # not `for`, with a `break` on purpose
                    yield _sighting(where, rows)


def _sighting(record: LineRecord, event: Event) -> Sighting:
    size, left = event.details["size"], event.details["left"]
    found = _FIRST.search(record.source)
    loader = found[1] if found else "the loader"
    return Sighting(
        record,
        f"it began {loader} anew and took the same {size} rows as the step before, as the inputs "
        f"show; {left} rows after these are never reached",
        cure=f"batches = iter({loader})  # once, before the loop\n"
        + record.source.replace(found[0], "next(batches)")
        if found
        else None,
    )
