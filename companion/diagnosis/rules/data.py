"""What a step is fed: the same rows again and again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import PAGE, Sighting, rule
from companion.records.line import Event, LineRecord

_FIRST = re.compile(r"\bnext\(\s*iter\(\s*([A-Za-z_][\w.]*)\s*\)\s*\)")


@rule(
    "same-batch",
    why="iter() begins a loader anew, and next() takes its first batch: no step sees the rest.",
    cure="batches = iter(loader)  # once, before the loop\nx, y = next(batches)",
    section=f"{PAGE}#same-batch",
)
def same_batch(ledger: Ledger) -> Iterator[Sighting]:
    """A loader is begun anew for every step, and each step learns from the same first batch."""
    before: dict[str, str | None] = {}  # by network: the inputs of its forward after a fetch
    due: set[str] = set()  # networks that have had none since the last fetch
    fetched: tuple[LineRecord, Event] | None = None
    hit: tuple[LineRecord, Event] | None = None
    learnt: tuple[LineRecord, Event] | None = None
    forward: tuple[str, int] = "", -1  # the network and the line of the hit
    networks = {event.name for _, event in ledger.of("forward")}
    for record in ledger.records:
        for event in record.events:
            if event.kind == "same rows":
                fetched, due = (record, event), set(networks)
            elif event.kind == "forward":
                name, batch = event.name, event.details.get("batch")
                if name in due and fetched is not None and _is_of(batch, fetched[1]):
                    if event.details["grad"] and batch == before.get(name):
                        hit, forward = fetched, (name, record.index)
                elif name == forward[0] and record.index != forward[1]:
                    hit = None  # on the same line it would have the same loss
                if name in due or before.get(name) is None:
                    before[name] = batch
                due.discard(name)
            elif event.kind == "backward":
                hit, learnt = None, hit or learnt
            elif event.kind == "step" and learnt is not None:
                where, rows = learnt
                learnt = None
                if re.search(r"\bnext\(", where.source):  # not `for`, with a `break` on purpose
                    yield _sighting(where, rows)


def _is_of(batch: str | None, fetch: Event) -> bool:
    """Whether as many rows went in as were fetched."""
    return batch is not None and batch.startswith(f"{fetch.details['size']}x")


def _sighting(record: LineRecord, event: Event) -> Sighting:
    size, left = event.details["size"], event.details["left"]
    found = _FIRST.search(record.source)
    loader = found[1] if found else "the loader"
    return Sighting(
        record,
        f"it began {loader} anew and took the same {size} rows as the step before, as the inputs "
        f"show; {left} rows after these are never reached",
        settle="whether this one batch is to be learned by heart, as a test of the loop",
        cure=f"batches = iter({loader})  # once, before the loop\n"
        + record.source.replace(found[0], "next(batches)")
        if found
        else None,
    )
