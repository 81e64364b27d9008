"""Graphs that nobody will go through again, and that are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.evaluations import below_the_step
from companion.diagnosis.rules.table import GRADIENTS, PAGE, Sighting, at, rule
from companion.records.keeping import appended, summand, with_detached
from companion.records.line import Event, LineRecord
from companion.records.statements import uncommented

Seen = tuple[int, int, int]  # the step, how many graphs, the newest one's number


@rule(
    "graph-kept",
    why="What is kept as a tensor keeps its graph, and memory grows with every batch.",
    cure="total += loss.item()  # or loss.detach(), for a tensor",
    section=f"{GRADIENTS}#graphs-that-live-too-long",
)
def graph_kept(ledger: Ledger) -> Iterator[Sighting]:
    """A variable's graph, or a container of tensors with graphs, grows over the steps.

    A backward has gone through the oldest of them, so that they are of no use any more; and what
    is there now was there in the step before, so that they were not only kept within a step.
    """
    series: dict[tuple[str, int, str], list[Seen]] = {}
    latest: dict[tuple[str, str], tuple[int, tuple[str, int]]] = {}
    last: LineRecord | None = None
    for record, event in ledger.of("graph kept"):
        within = event.details.get("within", "list" if "append" in record.source else "")
        length, newest = event.details["length"], event.details.get("newest", 0)
        before, place = latest.get((record.file, event.name), (0, record.place))
        latest[record.file, event.name] = length, record.place
        inside = last is not None and last.step == record.step and last.depth > record.depth
        last = record
        if record.again and (within == "object" or inside):
            continue  # a line of what it called has put it there
        if within and place != record.place and length <= before:
            continue  # another line has
        seen = series.setdefault((*record.place, event.name), [])
        if seen and seen[-1][0] == record.step:
            seen.pop()  # the last of a step stands for it
        survived = seen and event.details.get("oldest", 0) <= seen[-1][2]
        if seen and not (survived and length > seen[-1][1]):
            seen.clear()
        seen.append((record.step, length, newest))
        if within and _is_emptied(ledger, event.name):
            continue
        if len(seen) > 1 and length > 2:
            yield _sighting(record, event, [one[1] for one in seen], within)


def _is_emptied(ledger: Ledger, name: str) -> bool:
    """Whether a line that has run empties or shortens it, or looks whether it is too long."""
    name = re.escape(name)
    shortens = re.compile(
        rf"(?:if|while)\b.*\blen\({name}\)\s*[>=]|\bdel {name}\[|\b{name} = {name}\[.*:"
        rf"|\b{name}\.(?:clear|pop|popleft|popitem)\("
    )
    places = {record.place: record.source for record in ledger.records}
    return any(shortens.search(source) for source in places.values())


def _sighting(record: LineRecord, event: Event, lengths: list[int], within: str) -> Sighting:
    first = ", then ".join(map(str, lengths[: min(2, len(lengths) - 1)]))
    then = "now" if len(lengths) > 2 else "then"
    whose, settle = "the graphs of losses", None
    if event.details.get("by_layer"):
        whose, settle = "graphs, put there by a layer or a hook of it", "whether it begins anew"
    return Sighting(
        record,
        f"{event.name} holds {whose}, and more of them at each step: {first}, {then} {lengths[-1]}",
        settle="whether it is emptied before long" if within else settle,
        cure=_cure(record.source, event),
    )


def _cure(source: str, event: Event) -> str | None:
    """The same line without the graph, in the reader's own names."""
    if event.details.get("by_layer"):
        if not event.details["within"]:
            return f"# {event.name} begun anew in each step, or .detach() on what is added to it"
        return f"# {event.name} emptied in each step: what is detached in it fills memory, too"
    tensors = [name for name in event.details.get("tensors", ()) if name != event.name]
    added = summand(source, event.name)
    if added in tensors:
        return f"{event.name} += {added}.item()  # or {added}.detach(), for a tensor"
    entries = [name for name in tensors if name.endswith("]")]
    if tensors:
        others = [name for name in tensors if name not in entries]
        whole = with_detached(source, others)
        if others and whole is None:  # several statements on one line
            return f"# {others[0]}.detach() in place of {others[0]}, where {event.name} keeps it"
        return "\n".join([*(f"{name} = {name}.detach()" for name in entries), whole or source])
    made = appended(source)
    if made is not None:
        return f"kept = {made}\n{event.name}.append(kept.detach())  # and the loss from kept"
    return None


@rule(
    "graph-unused",
    why="A forward with gradients enabled keeps what its backward would need: here for nothing.",
    cure="with torch.no_grad():\n    outputs = net(inputs)",
    section=f"{PAGE}#graph-unused",
)
def graph_unused(ledger: Ledger) -> Iterator[Sighting]:
    """Batch after batch with a graph, then training goes on from another forward.

    No backward went through any of them, and nobody asked for gradients in another way. In eval
    mode; in training mode what acts, or looks at several views before a loss, does so too: there
    it is a sum of losses, below the step, of a network that runs alike in both modes.
    """
    waiting: dict[tuple[str, tuple[str, int]], list[LineRecord]] = {}
    reached = {n for _, e in ledger.of("backward") for n in e.details.get("reaches", ())}
    below = {id(e) for r, e in below_the_step(ledger) if not e.details["modal"] and _is_sum(r)}
    for record in ledger.records:
        for event in record.events:
            if event.kind in ("backward", "grad asked"):
                waiting.clear()
            elif event.kind == "forward" and event.details["grad"]:
                if not event.details["training"] or id(event) in below:
                    if _has_graph(record) and event.details.get("number") not in reached:
                        waiting.setdefault((event.name, record.place), []).append(record)
                    continue
                for key in [key for key in waiting if key[0] == event.name]:
                    runs = waiting.pop(key)
                    if len(runs) > 1:
                        yield _unused(runs, ledger.words.network(event.name) or event.name, record)


def _is_sum(record: LineRecord) -> bool:
    """Whether a line binds one number with the graphs of several forwards, or adds one to others.

    What is bound to a name that is bound anew for each batch keeps no graph for long.
    """
    several = sum(event.kind == "forward" for event in record.events) > 1
    return (several or "+=" in record.source) and any(
        value.graph and value.number is not None for value in record.values
    )


def _has_graph(record: LineRecord) -> bool:
    return any(value.graph and value.shape is not None for value in record.values)


def _unused(runs: list[LineRecord], network: str, trained: LineRecord) -> Sighting:
    first = runs[0]
    calls = [event for event in first.events if event.kind == "forward"]
    mode = "" if any(event.details["training"] for event in calls) else " in eval mode"
    names = ", ".join(dict.fromkeys(value.name for value in first.values if value.graph))
    return Sighting(
        first,
        f"{len(runs)} times in a row it called {network}{mode} with gradients enabled and "
        f"kept a graph in {names}; no backward came before {at(trained)} trained again",
        settle=f"whether anything is differentiated from {names}",
        cure="with torch.no_grad():\n    " + uncommented(first.source).replace("\n", "\n    "),
    )
