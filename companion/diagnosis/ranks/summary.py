"""What one process tells the others of its watched steps: the same few numbers, however many."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from companion.records.line import LineRecord
from companion.records.parallel import Parallel
from companion.records.reading import Reading, combine

MOST_STEPS = 8  # that are told of
MOST_PARAMETERS = 512  # the first and the last ones of more

Numbers = tuple[float, float]  # sum and norm of several tensors; not those with NaN in them


class At(NamedTuple):
    """A line, and what all gradients read there, before and after it; None where there is none."""

    file: str
    line: int
    source: str
    before: Numbers | None
    after: Numbers | None


class Inputs(NamedTuple):
    """What a forward was given: a digest of each row."""

    rows: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """What one process did.

    Attributes:
        rank: Which one it is.
        network: What is watched.
        names: A digest of the parameters' names.
        lines: A digest of the lines that ran, and how often.
        ran: How many they were.
        steps: How many steps were watched.
        losses: Where the number stands that each backward began at, and these numbers.
        loss_line: That line; 0 where a library has made them.
        backwards: Each backward that wrote gradients.
        used: What each step used: the gradients of what its optimizer holds; of DDP's alone, where
            there is one.
        forwards: How many forwards with a graph went through the network as it is called.
        untold: Where a sampler that shuffles by its epoch gave the rows of the epoch before.
        blame: The line of the forward that went around it, if one is known.
        first: Sums and norms of the parameters before the first step.
        last: The same after the last line.
        inputs: What the forwards were given.
        averaged: How many parameters' gradients DistributedDataParallel averages.
        sharded: Of how many this process holds a part.
        together: A digest of the ranks that do so; None where there are none, or several kinds.
        hooked: See `companion.records.parallel`.
        outermost: The same.
        averages: Whether the script's source may average parameters from time to time.
        moved: What the parameters read that a step, or then something else, had written.
    """

    rank: int
    network: str = ""
    names: str = ""
    lines: str = ""
    ran: int = 0
    steps: int = 0
    losses: tuple[float, ...] = ()
    loss_line: int = 0
    backwards: tuple[At, ...] = ()
    used: tuple[At, ...] = ()
    forwards: int = 0
    blame: At | None = None
    untold: At | None = None
    first: tuple[Numbers | None, ...] = ()
    last: tuple[Numbers | None, ...] = ()
    inputs: tuple[Inputs, ...] = ()
    averaged: int = 0
    sharded: int = 0
    together: str | None = None
    hooked: bool = False
    outermost: bool = False
    averages: bool = False
    moved: tuple[Numbers | None, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @staticmethod
    def of_dict(given: Mapping[str, Any]) -> Summary:
        """What `to_dict` made, and JSON has made lists of."""
        known = {one.name: _tuples(given[one.name]) for one in fields(Summary)}
        known["backwards"] = tuple(At(*one) for one in known["backwards"])
        known["used"] = tuple(At(*one) for one in known["used"])
        known["blame"] = known["blame"] and At(*known["blame"])
        known["untold"] = known["untold"] and At(*known["untold"])
        known["inputs"] = tuple(Inputs(*one) for one in known["inputs"])
        return Summary(**known)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def names_told(records: Sequence[LineRecord]) -> list[str]:
    """The parameters whose readings are told."""
    names = list(records[0].before.parameters) if records else []
    half = MOST_PARAMETERS // 2
    return names if len(names) <= MOST_PARAMETERS else [*names[:half], *names[-half:]]


def summary(
    rank: int, network: str, records: Sequence[LineRecord], parallel: Parallel, steps: int
) -> Summary:
    """What this process tells.

    Example:
        >>> summary(1, "Net", [], Parallel(), 0).names
        ''
    """
    if not records:
        return Summary(rank, network)
    collected = _Collected(set(parallel.averaged))
    for record in records:
        collected.add(record)
    names = names_told(records)
    start = next((r for r in records if any(e.kind == "step" for e in r.events)), records[-1])
    counts = Counter((os.path.basename(r.file), r.line) for r in records if not r.again)
    return Summary(
        rank=rank,
        network=network,
        names=_digest(records[0].before.parameters),
        lines=_digest(map(str, counts.items())),
        ran=sum(counts.values()),
        steps=steps,
        losses=tuple(collected.losses[:MOST_STEPS]),
        loss_line=collected.loss_line,
        backwards=tuple(collected.backwards[:MOST_STEPS]),
        used=tuple(collected.used[:MOST_STEPS]),
        forwards=collected.forwards,
        blame=collected.blame,
        untold=collected.untold,
        first=tuple(numbers([start.before.parameters.get(name)]) for name in names),
        last=tuple(numbers([records[-1].after.parameters.get(name)]) for name in names),
        inputs=tuple(collected.inputs[:MOST_STEPS]),
        averaged=len(parallel.averaged),
        sharded=len(parallel.sharded),
        together=None if parallel.ranks is None else _digest(map(str, parallel.ranks)),
        hooked=parallel.hooked,
        outermost=parallel.outermost,
        moved=(*collected.moved.values(), *collected.written.values()),
    )


def numbers(readings: Iterable[Reading | None]) -> Numbers | None:
    """Sum and norm of several; None where there is none, or one cannot be compared."""
    whole = combine(readings)
    if whole is None or whole.nonfinite or isinstance(whole.sum, complex):
        return None
    return whole.sum, whole.norm


@dataclass
class _Collected:
    averaged: set[str]
    losses: list[float] = field(default_factory=list)
    loss_line: int = 0
    backwards: list[At] = field(default_factory=list)
    used: list[At] = field(default_factory=list)
    inputs: list[Inputs] = field(default_factory=list)
    forwards: int = 0
    blame: At | None = None
    untold: At | None = None
    moved: dict[int, Numbers | None] = field(default_factory=dict)  # by steps; the latest
    written: dict[int, Numbers | None] = field(default_factory=dict)
    _stepped: set[str] = field(default_factory=set)  # what the last step has changed
    _others: set[str] = field(default_factory=set)  # and what something else has, since then
    _bound: LineRecord | None = None  # the line that bound the loss to come
    _inside: float | None = None  # the loss that a library has made, of no line of the user's
    _computed: LineRecord | None = None  # a line that computed with a submodule of a wrapper

    def add(self, record: LineRecord) -> None:
        for value in record.values:
            if value.graph and self._computed is None:
                self._computed = record
            if value.graph and value.number is not None:
                self._bound = record
        if record.phase is not None and record.phase.loss is not None:
            self._inside = record.phase.loss
        if ".module" in record.source and any(value.graph for value in record.values):
            self._computed = record
        for event in record.events:
            if event.kind == "forward" and event.details.get("grad"):
                self.forwards += 1
                if rows := event.details.get("rows"):
                    self.inputs.append(Inputs(tuple(rows)))
            elif event.kind == "same rows" and event.details.get("untold"):
                self.untold = self.untold or _at(record, None)
            elif event.kind == "backward" and record.changed_gradients:
                self._add_backward(record)
            elif event.kind == "step":
                held = set(event.details["held"])
                mine = held & self.averaged if self.averaged else held
                self.used.append(_at(record, mine))
        self._add_written(record)

    def _add_written(self, record: LineRecord) -> None:
        """Parameters that a step has changed, or after it something else, if it has all of them."""
        changed = set(record.changed_parameters)
        if not changed:
            return
        if any(event.kind == "step" for event in record.events):
            self._stepped, self._others = changed, set()
            _keep(self.moved, len(self.used), _read(record, changed))
        elif self._stepped:
            self._others |= changed
            if self._others >= self._stepped:
                _keep(self.written, len(self.used), _read(record, self._others))

    def _add_backward(self, record: LineRecord) -> None:
        self.backwards.append(_at(record, None))
        if self._bound is not None:
            found = next(v.number for v in self._bound.values if v.graph and v.number is not None)
            self.losses.append(found)
            self.loss_line = self._bound.line
        elif self._inside is not None:
            self.losses.append(self._inside)
        self.blame = self.blame or _at(self._computed or record, None)
        self._bound = self._computed = self._inside = None


def _read(record: LineRecord, names: Iterable[str]) -> Numbers | None:
    return numbers(record.after.parameters.get(name) for name in sorted(names))


def _keep(kept: dict[int, Numbers | None], key: int, one: Numbers | None) -> None:
    kept[key] = one
    if len(kept) > MOST_STEPS:
        del kept[next(iter(kept))]


def _at(record: LineRecord, names: set[str] | None) -> At:
    before, after = (
        numbers(r for name, r in state.gradients.items() if names is None or name in names)
        for state in (record.before, record.after)
    )
    return At(record.file, record.line, record.source, before, after)


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(words).encode("utf-8", "replace")).hexdigest()[:16]
