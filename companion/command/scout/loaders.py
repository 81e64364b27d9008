"""Loops over a DataLoader that gave no batch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data._utils.fetch import _MapDatasetFetcher
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from companion.command.scout.children import OPEN, START, Children
from companion.command.scout.epochs import Epochs
from companion.command.scout.own import is_own
from companion.diagnosis.ranks.summary import At
from companion.isolation.objects import attributes
from companion.records.line import Event, LineRecord, State
from companion.tracing.code.frames import local_variables
from companion.tracing.code.source import Source, Statement
from companion.tracing.events.loaders import shuffles_by_epoch

_BEGIN = DataLoader.__iter__.__code__
_FETCH = _MapDatasetFetcher.fetch.__code__
_ARRIVE = getattr(_MultiProcessingDataLoaderIter, "_process_data", DataLoader.__iter__).__code__
CODES = (_BEGIN, _FETCH, _ARRIVE, START, OPEN)

_TRAINS = re.compile(r"\bbackward\(|\bstep\(")
MOST = 100  # loops that are remembered


@dataclass
class _Loop:
    """A `for` over a DataLoader, the loader's name, and how often it began."""

    source: Source
    header: Statement
    function: str
    name: str
    details: dict[str, Any]
    samplers: set[int]  # the loaders', by id: their iterators know them, and not the loaders
    times: int = 0

    @property
    def trains(self) -> bool:
        """Whether there is a backward or a step in what it heads."""
        body = range(self.header.last + 1, self.header.end + 1)
        return any(_TRAINS.search(self.source.at(line).text) for line in body)


class Loaders:
    """Hears where a DataLoader is gone through, and whether it has given anything.

    Attributes:
        children: Hears of the processes that are started, a loader's own and others.
        epochs: Follows the passes over loaders that several processes share.
    """

    def __init__(self, place: str | None) -> None:
        self._place = place
        self.children, self.epochs = Children(), Epochs()
        self._loops: dict[tuple[str, int], _Loop] = {}
        self._given: set[int] = set()  # samplers of loaders that have given something, by id

    def hear(self, frame: FrameType) -> None:
        """A call of one of `CODES`."""
        if frame.f_code in (START, OPEN):
            self.children.hear(frame)
            return
        owner = frame.f_locals.get("self")
        kept = attributes(owner)
        if frame.f_code is _FETCH and frame.f_back is not None:
            kept = attributes(frame.f_back.f_locals.get("self"))  # the iterator that fetches
        if frame.f_code is not _BEGIN:
            self._given.add(id(kept.get("_index_sampler")))
        elif len(self._loops) < MOST and not issubclass(type(kept.get("dataset")), IterableDataset):
            self._begin(owner, kept, frame.f_back)

    def _begin(self, owner: object, kept: dict[str, Any], frame: FrameType | None) -> None:
        while frame is not None and not is_own(frame.f_code, self._place):
            frame = frame.f_back
        if frame is None:
            return
        batched = kept.get("batch_sampler")
        sampler = id(kept.get("sampler") if batched is None else batched)
        key = frame.f_code.co_filename, frame.f_lineno
        if shuffles_by_epoch(batched):
            source = Source(frame)
            line = source.at(frame.f_lineno)
            at = At(source.name, line.first, line.text, None, None)
            self.epochs.begin(batched, kept.get("dataset"), at)
        if key not in self._loops:
            source = Source(frame)
            header = source.at(frame.f_lineno)
            if not header.text.startswith("for "):
                return
            size, last = kept.get("batch_size"), kept.get("drop_last")
            self._loops[key] = _Loop(
                source,
                header,
                "" if frame.f_code.co_name[0] == "<" else frame.f_code.co_name,
                next((n for n, one in local_variables(frame).items() if one is owner), ""),
                {"size": size if type(size) is int else None, "drop": last is True},
                set(),
            )
        loop = self._loops[key]
        loop.samplers.add(sampler)
        loop.times += 1

    def close(self, records: list[LineRecord]) -> None:
        """The script is over, and nothing was trained: a record for each loop without a pass."""
        empty = [loop for loop in self._loops.values() if loop.samplers.isdisjoint(self._given)]
        state = records[-1].after if records else State({}, {})
        for loop in empty:
            if loop.trains:
                event = Event("no batch", loop.name, {**loop.details, "times": loop.times})
                first = loop.header
                records.append(
                    LineRecord(
                        len(records), loop.source.name, first.first, first.text, first.indent,
                        state, state, (), (), events=(event,), function=loop.function,
                    )
                )  # fmt: skip
