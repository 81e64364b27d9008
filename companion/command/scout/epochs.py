"""Loaders that are gone through again and again while their sampler is told of no other epoch.

A DistributedSampler shuffles by the epoch that `set_epoch()` tells it. The watched steps seldom
reach a second epoch, so it is looked for afterwards: each step sees whether a loader's iterator is
still the one that it was. Only when it is not is the next one looked for, by what refers to the
loader's batch sampler, or to its data set: a sampler that is made anew begins with epoch 0 again.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

from torch.optim.optimizer import Optimizer
from torch.utils.data import BatchSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter

from companion.diagnosis.ranks.summary import At
from companion.isolation.objects import attributes, is_a
from companion.tracing.events.loaders import shuffles_by_epoch

MOST = 4  # times that the next iterator is looked for
_WEAK = type.__dict__["__weakrefoffset__"].__get__  # 0 where a list, say, is the data set
FEW = 2  # steps: a pass of fewer may be a mere look at a batch


class _Pass:
    """One pass over a loader, seen at a step: an iterator, until it is gone or begun anew."""

    def __init__(self, iterator: _BaseDataLoaderIter) -> None:
        kept = attributes(iterator)
        batches = attributes(kept["_index_sampler"])
        sampler = attributes(batches["sampler"])
        self._iterator = weakref.ref(iterator)
        self._batches = weakref.ref(kept["_sampler_iter"])
        self.told = sampler.get("epoch"), sampler.get("seed")
        self._rows, self._size = sampler.get("num_samples"), batches.get("batch_size")
        self._first = self._given = _given(kept)
        self._steps = 1

    def is_of(self, iterator: _BaseDataLoaderIter | None) -> bool:
        """Whether an iterator gives this pass, and no later one."""
        kept = {} if iterator is None else attributes(iterator)
        batches = kept.get("_sampler_iter")
        return batches is not None and batches is self._batches()

    def on_step(self) -> bool:
        """The optimizer is about to step: count what was given; False where the pass is over."""
        iterator = self._iterator()
        if not self.is_of(iterator):
            return False
        self._given = _given(attributes(iterator))
        self._steps += 1
        return True

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
    """A loader's batch sampler and data set, where it is gone through, and the known passes."""

    batches: weakref.ref[BatchSampler]
    data: weakref.ref[object] | None
    at: At
    passes: list[_Pass] = field(default_factory=list)

    def is_followed_by(self, iterator: _BaseDataLoaderIter, under_way: Sequence[_Pass]) -> bool:
        """Whether an iterator is of a loader that takes this one's place: of the same data."""
        kept = attributes(iterator)
        data = None if self.data is None else self.data()
        is_over = bool(self.passes) and not any(one in under_way for one in self.passes)
        same = data is not None and kept.get("_dataset") is data
        return same and is_over and shuffles_by_epoch(kept.get("_index_sampler"))

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
        self._optimizer: weakref.ref[Optimizer] | None = None
        self._loaders: dict[int, _Loader] = {}
        self._under_way: list[_Pass] = []
        self._looks = 0

    def begin(self, batches: BatchSampler, data: object, at: At) -> None:
        """Such a loader is gone through; the last time before the training is the training's."""
        known = weakref.ref(data) if _WEAK(type(data)) else None
        self._loaders[id(batches)] = _Loader(weakref.ref(batches), known, at)

    def on_step(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""
        begins = self._optimizer is None
        followed = self._optimizer or weakref.ref(optimizer)
        if not self._loaders or followed() is not optimizer:
            return
        self._optimizer = followed
        under_way = [one for one in self._under_way if one.on_step()]
        if begins or len(under_way) < len(self._under_way):
            self._under_way = [*under_way, *self._look(under_way)]

    def _look(self, known: Sequence[_Pass]) -> Iterator[_Pass]:
        """The passes that have begun since the last look."""
        self._looks += 1
        every = [*self._loaders.values()]
        both = [ref() for one in every for ref in (one.batches, one.data) if ref is not None]
        living = {id(one): one for one in both if one is not None}
        for iterator in iterators([*living.values()]) if self._looks <= MOST else ():
            own = attributes(iterator).get("_index_sampler")
            its = (one for one in every if one.batches() is own)
            later = (one for one in every if one.is_followed_by(iterator, known))
            loader = next(its, None) or next(later, None)
            if loader is not None and not any(one.is_of(iterator) for one in known):
                loader.passes.append(_Pass(iterator))
                yield loader.passes[-1]

    @property
    def untold(self) -> At | None:
        """Where a loader is gone through that has given the same rows in the same order."""
        return next((one.at for one in self._loaders.values() if one.is_untold), None)


def iterators(sources: Sequence[object]) -> list[_BaseDataLoaderIter]:
    """The living iterators that take their rows from one of these batch samplers or data sets."""
    found = gc.get_referrers(*sources)
    inside = [one for one in found if type(one) is dict and "_sampler_iter" in one]
    # These are also referrers of `found`: put into it, they would keep each other alive.
    owners = gc.get_referrers(*inside)
    several = [one for one in (*found, *owners) if is_a(one, _BaseDataLoaderIter)]
    alone = {id(one): one for one in several}.values()
    return [one for one in alone if type(attributes(one).get("_sampler_iter")) is GeneratorType]


def _given(kept: Mapping[str, Any]) -> int:
    number = kept.get("_num_yielded")
    return number if type(number) is int else 0
