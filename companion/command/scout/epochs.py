"""Loaders that are gone through again and again while their sampler is told of no other epoch.

A DistributedSampler shuffles by the epoch that `set_epoch()` tells it. The watched steps seldom
reach a second epoch, so it is looked for afterwards: each step sees whether a loader's iterator is
still the one that it was. Only when it has gone are all living objects looked at, for the next.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

from torch.optim.optimizer import Optimizer
from torch.utils.data.dataloader import _BaseDataLoaderIter

from companion.isolation.objects import attributes
from companion.tracing.events.loaders import shuffles_by_epoch
from companion.tracing.measure.parallel import is_one_of_several
from companion.tracing.measure.watched import alive

MOST = 12  # times that all living objects are looked at
FEW = 2  # steps: a pass of fewer may be a mere look at a batch


class _Pass:
    """One pass over a loader: an iterator, until it is gone or begun anew."""

    def __init__(self, iterator: _BaseDataLoaderIter) -> None:
        kept = attributes(iterator)
        batches = attributes(kept["_index_sampler"])
        sampler = attributes(batches["sampler"])
        self._iterator = weakref.ref(iterator)
        self._batches = weakref.ref(kept["_sampler_iter"])
        self.told = sampler.get("epoch"), sampler.get("seed")
        self._rows, self._size = sampler.get("num_samples"), batches.get("batch_size")
        self._first = self._given = _given(kept)
        self._steps = 0

    def _kept(self) -> Mapping[str, Any] | None:
        iterator = self._iterator()
        kept = {} if iterator is None else attributes(iterator)
        batches = kept.get("_sampler_iter")
        return None if batches is None or batches is not self._batches() else kept

    @property
    def is_over(self) -> bool:
        """Whether its iterator is gone, or gives another pass by now."""
        return self._kept() is None

    def on_step(self) -> None:
        """The optimizer is about to step: what was given by then is counted."""
        kept = self._kept()
        if kept is not None:
            self._given = _given(kept)
            self._steps += 1

    @property
    def has_trained(self) -> bool:
        """Whether there was a batch for each step: another loader gives one now and then."""
        return self._steps >= FEW and self._given - self._first >= self._steps - 1

    @property
    def is_whole(self) -> bool:
        """Whether most rows were given: it was not left early, as one that tries something is."""
        rows, size = self._rows, self._size
        return type(rows) is int and type(size) is int and 2 * self._given * size > rows


@dataclass
class _Loader:
    """A loader's batch sampler, and the passes over it that are known."""

    batches: weakref.ref[Any]
    passes: list[_Pass] = field(default_factory=list)

    @property
    def is_untold(self) -> bool:
        """Whether its rows came in the same order again: twice, or three times where left early."""
        if len({one.told for one in self.passes}) > 1:
            return False
        trained = [one for one in self.passes if one.has_trained]
        return len(trained) > 1 and (trained[0].is_whole or len(trained) > 2)


class Epochs:
    """Follows the passes over such loaders, by the steps of the first optimizer that steps."""

    def __init__(self) -> None:
        self._optimizer: int | None = None
        self._loaders: dict[int, _Loader] = {}
        self._under_way: list[_Pass] = []
        self._looks = 0

    def on_step(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""
        if self._optimizer is None:
            self._optimizer = id(optimizer) if is_one_of_several() else 0
            self._look()
        if self._optimizer != id(optimizer):
            return
        if any(one.is_over for one in self._under_way):
            self._look()
        for one in self._under_way:
            one.on_step()

    def _look(self) -> None:
        """Find the passes that are under way now."""
        self._looks += 1
        living = alive(_BaseDataLoaderIter) if self._optimizer and self._looks <= MOST else []
        self._under_way = [self._pass(one) for one in living if _is_looked_at(attributes(one))]

    def _pass(self, iterator: _BaseDataLoaderIter) -> _Pass:
        """The pass that an iterator gives: the latest one of its loader, or a new one."""
        batches = attributes(iterator)["_index_sampler"]
        loader = self._loaders.get(id(batches))
        if loader is None or loader.batches() is not batches:
            loader = self._loaders[id(batches)] = _Loader(weakref.ref(batches))
        if not loader.passes or loader.passes[-1].is_over:
            loader.passes.append(_Pass(iterator))
        return loader.passes[-1]

    def untold(self) -> set[int]:
        """The batch samplers, by id, of those that have given the same rows in the same order."""
        return {key for key, one in self._loaders.items() if one.is_untold}


def _is_looked_at(kept: Mapping[str, Any]) -> bool:
    batches = kept.get("_sampler_iter")
    return type(batches) is GeneratorType and shuffles_by_epoch(kept.get("_index_sampler"))


def _given(kept: Mapping[str, Any]) -> int:
    number = kept.get("_num_yielded")
    return number if type(number) is int else 0
