"""The networks of a trace, each with what it read at the beginning and at the end.

A watched network and one that only takes part stand in different fields of a state, and some rules
ask the same of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from companion.diagnosis.ledger import Ledger
from companion.records.line import Event, LineRecord
from companion.records.reading import Reading

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

Pair = tuple[Reading | None, Reading | None]


@dataclass
class Network:
    """A network that was called.

    Attributes:
        name: Its name.
        beside: Whether it only takes part.
        calls: Every call of it, with its line.
        parameters: What each parameter read first and last, by its name in the network; of one
            that only takes part also buffers that are no running statistics.
        statistics: The same of the running statistics of its normalising layers.
        moves: The lines that changed one of its parameters.
        wanted: Whether each parameter has ever required a gradient; unknown of one beside.
        held: Whether an optimizer that stepped holds any of them.
    """

    name: str
    beside: bool
    calls: list[tuple[LineRecord, Event]] = field(default_factory=list)
    parameters: dict[str, Pair] = field(default_factory=dict)
    statistics: dict[str, Pair] = field(default_factory=dict)
    moves: list[LineRecord] = field(default_factory=list)
    wanted: dict[str, bool] = field(default_factory=dict)
    held: bool = False

    @property
    def stands(self) -> bool:
        """Whether none of its parameters has changed, on a watched line or between two."""
        return not self.moves and all(one == two for one, two in self.parameters.values())

    @property
    def drifts(self) -> list[str]:
        """Its running statistics that have changed."""
        return [name for name, (one, two) in self.statistics.items() if one != two]


def networks(ledger: Ledger) -> list[Network]:
    """All that were called, in the order of their first calls."""
    found: dict[tuple[str, bool], Network] = {}
    for record in ledger.records:
        for event in record.events:
            if event.kind in ("forward", "takes part"):
                key = event.name, event.kind == "takes part"
                found.setdefault(key, Network(*key)).calls.append((record, event))
    held = {name for _, event in ledger.of("step") for name in event.details["held"]}
    for one in found.values():
        _fill(one, ledger.records, held)
    return list(found.values())


def _fill(one: Network, records: Sequence[LineRecord], held: set[str]) -> None:
    first, last = records[0].before, records[-1].after
    # The only network has no name before those of its modules, and is "" itself.
    prefix = f"{one.name}." if one.beside or "" not in first.training else ""
    # An optimizer may hold some of what only takes part: that stands with the parameters.
    parts = ("parameters", "others") if one.beside else ("parameters",)
    for part in parts:
        for name, was in getattr(first, part).items():
            if name.startswith(prefix):
                own, now = name[len(prefix) :], getattr(last, part).get(name)
                kind = own.rpartition(".")[2] in STATISTICS
                (one.statistics if kind else one.parameters)[own] = was, now
    if not one.beside:
        one.statistics = {
            name[len(prefix) :]: (was, last.buffers.get(name))
            for name, was in first.buffers.items()
            if name.startswith(prefix) and name.rpartition(".")[2] in STATISTICS
        }
        one.wanted = {
            name: any(r.before.requires_grad.get(prefix + name, False) for r in records)
            for name in one.parameters
        }
    one.held = any(prefix + name in held for name in one.parameters)
    full = {prefix + name for name in one.parameters}
    for record in records:
        changed = (*record.changed_parameters, *(record.changed_others if one.beside else ()))
        if not full.isdisjoint(changed):
            one.moves.append(record)


def counterpart(one: Network, other: Network) -> dict[str, str]:
    """The names in another network that stand for those in this one: the same, but for the front.

    A moving average keeps its copy as "module.", a target copies the "encoder." alone. Empty where
    one is no copy of the other, or of a part of it.
    """
    mine = [*one.parameters, *one.statistics]
    theirs = {*other.parameters, *other.statistics}
    start = next((name for name in one.parameters if "." in name), "")
    for name in theirs if start else ():
        pairs: dict[str, str] = {}
        if f".{name}".endswith(f".{start}"):
            front = name[: len(name) - len(start)]
            pairs = {own: front + own for own in mine if front + own in theirs}
        elif start.endswith(f".{name}"):
            front = start[: len(start) - len(name)]
            pairs = {
                own: own[len(front) :]
                for own in mine
                if own.startswith(front) and own[len(front) :] in theirs
            }
        if len(pairs) * 10 > len(mine) * 8:  # it may have a counter of its own
            return pairs
    return {}
