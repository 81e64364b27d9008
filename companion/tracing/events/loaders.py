"""Data loaders that are begun anew again and again, told from what they fetch.

A loader's length is the user's own code, which is not run. What is left of it is read from
torch's own sampler, which stands still while its rows are fetched.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterable, Mapping
from types import FrameType, GeneratorType
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler, TensorDataset
from torch.utils.data import sampler as samplers
from torch.utils.data._utils.fetch import _MapDatasetFetcher
from torch.utils.data.dataloader import _BaseDataLoaderIter

from companion.isolation.objects import attributes, is_a
from companion.records.line import Event
from companion.tracing.code.frames import local_variables
from companion.tracing.measure.values import has_values

FETCH = _MapDatasetFetcher.fetch
MOST_ROWS = 4096  # of a batch, that are compared with those of the one before
MOST_ENTRIES = 1024  # of an input's first and last row, that are added up
MOST_TENSORS = 4
MOST_DIGESTS = 64  # rows of a batch
LARGEST_ROW = 2**24  # entries: one that is not contiguous would have to be copied
_RANGE = type(iter(range(0)))


class Loaders:
    """Which rows each loader fetched first, the last time that it was begun.

    Attributes:
        begun: Whether the last that was fetched is a new iterator's first batch.
    """

    def __init__(self) -> None:
        self._input: weakref.ref[Tensor] | None = None
        self._first: dict[int, tuple[weakref.ref[Any], tuple[int, ...]]] = {}
        self.begun = False

    def fetched(self, local: Mapping[str, Any], frame: FrameType) -> Event | None:
        """An iterator fetches a batch: an event if the one before it did so, and no more."""
        indices: Any = local.get("possibly_batched_index")
        caller = frame.f_back
        iterator = None if caller is None else local_variables(caller).get("self")
        if not is_a(iterator, _BaseDataLoaderIter):
            return None
        kept = attributes(iterator)
        sampler = kept.get("_index_sampler")
        if type(sampler) is not samplers.BatchSampler:
            return None
        self.begun = kept.get("_num_yielded") == 0
        known = self._first.get(id(sampler))
        untold = shuffles_by_epoch(sampler)
        if not untold or (self.begun and not _are_rows(indices)):
            self._first.pop(id(sampler), None)  # else it is looked at again in the next epoch
        if not self.begun or not _are_rows(indices):
            return None
        rows = tuple(indices)
        self._first[id(sampler)] = weakref.ref(sampler), rows
        if known is None or known[0]() is not sampler or known[1] != rows:
            return None
        left = _left(kept, len(rows))
        details = {"size": len(rows), "left": left, "untold": untold}
        return Event("same rows", "", details) if left else None

    def digest(self, arguments: object, keywords: object) -> str | None:
        """Shapes and sums of what a network is called with, if it is no tensor of before."""
        found = [one for one in tensors(arguments, keywords) if _is_readable(one)][:MOST_TENSORS]
        if not found:
            return None
        first = found[0] if found[0]._base is None else found[0]._base
        last, self._input = self._input, weakref.ref(first)
        return None if last is not None and last() is first else digest(found)


def shuffles_by_epoch(batches: object) -> TypeGuard[samplers.BatchSampler]:
    """Whether a loader's rows come from a sampler that shuffles by the epoch it is told."""
    inner = attributes(batches).get("sampler") if type(batches) is samplers.BatchSampler else None
    return type(inner) is DistributedSampler and attributes(inner).get("shuffle") is True


def _are_rows(indices: object) -> bool:
    """Whether these are numbers of rows: not what a sampler of the user's own may give."""
    return (
        type(indices) is list
        and 0 < len(indices) <= MOST_ROWS
        and all(type(one) is int for one in indices)
    )


def _left(kept: Mapping[str, Any], fetched: int) -> int:
    """How many rows there are after the first batch; 0 where only the user's code could tell."""
    dataset = kept.get("_dataset")
    if type(dataset) is TensorDataset:
        tensors = attributes(dataset).get("tensors")
        if type(tensors) is tuple and tensors and type(tensors[0]) is Tensor and tensors[0].dim():
            return max(0, tensors[0].shape[0] - fetched)
    batches = kept.get("_sampler_iter")
    if type(batches) is not GeneratorType or batches.gi_frame is None:
        return 0
    values = local_variables(batches.gi_frame).values()
    return next((operator.length_hint(one) for one in values if type(one) is _RANGE), 0)


def digest(tensors: Iterable[Tensor]) -> str | None:
    """Shapes and sums of tensors; None if they tell nothing.

    Of each only a few entries of the first and of the last row are read.

    Example:
        >>> digest([torch.arange(6.0).reshape(3, 2)])
        '3x2 10 34'
        >>> digest([torch.zeros(3, 2)]) is None
        True
    """
    sums = [_sums(one) for one in tensors]
    return None if not sums or None in sums else "; ".join(filter(None, sums))


def tensors(arguments: object, keywords: object) -> list[Tensor]:
    """What a module is called with, in containers as well."""
    found: list[Any] = [*arguments] if type(arguments) is tuple else []
    found += dict.values(keywords) if type(keywords) is dict else ()
    for one in found[: 4 * MOST_TENSORS]:
        if type(one) in (list, tuple):
            found += one[:MOST_TENSORS]
        elif type(one) is dict:
            found += [*one.values()][:MOST_TENSORS]
    return [one for one in found if type(one) is Tensor]


def rows(arguments: object, keywords: object) -> tuple[str, ...]:
    """A digest of each row of the first tensor that a network is called with, of the first 64.

    Example:
        >>> rows((torch.arange(6.0).reshape(3, 2),), {})
        ('1 2', '5 8', '9 14')
    """
    found = next((one for one in tensors(arguments, keywords) if _is_readable(one)), None)
    if found is None or not found.is_contiguous():
        return ()
    with torch.no_grad():
        few = found.detach()[:MOST_DIGESTS].reshape(min(len(found), MOST_DIGESTS), -1)
        few = few[:, :: 1 + few.shape[1] // MOST_ENTRIES].cpu().double()
        if bool((few == few[0, 0]).all()):
            return ()
        places = torch.arange(1, few.shape[1] + 1, dtype=torch.float64)
        sums = zip(few.sum(1).tolist(), (few * places).sum(1).tolist(), strict=True)
    return tuple(f"{total:.10g} {weighted:.10g}" for total, weighted in sums)


def _is_readable(tensor: Tensor) -> bool:
    return (
        has_values(tensor)
        and tensor.layout == torch.strided
        and not tensor.is_nested
        and not tensor.is_quantized
        and not tensor.is_complex()
        and tensor.dim() > 0
        and 0 < tensor.numel() <= LARGEST_ROW * tensor.shape[0]
    )


def _sums(tensor: Tensor) -> str | None:
    """None where all that is read is the same, or not finite: many a batch is so."""
    with torch.no_grad():
        rows = [tensor.detach()[i].reshape(-1) for i in (0, -1)]
        few = [row[:: 1 + row.numel() // MOST_ENTRIES] for row in rows]
        entries = torch.cat(few).cpu().double()
        if bool((entries == entries[0]).all()) or not bool(entries.isfinite().all()):
            return None
        places = torch.arange(1, len(entries) + 1, dtype=torch.float64)
        total, weighted = entries.sum().item(), (entries * places).sum().item()
    return f"{'x'.join(map(str, tensor.shape))} {total:.15g} {weighted:.15g}"
