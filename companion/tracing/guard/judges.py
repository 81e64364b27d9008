"""What is worth a word: a norm far above those before, a learning rate that stays at 0."""

from __future__ import annotations

import statistics
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer

from companion.tracing.measure.watched import groups

TIMES = 1000.0  # so many times the median of those before
ABOVE = 10.0  # and so many times the largest of them: it may have fallen far since
FIRST = 50  # norms that must have been seen
MOST = 512  # norms that are kept

LOOKS = 3  # in a row that must have found a learning rate of 0
APART = 9  # steps between the first and the last of them


class History:
    """The norms so far, at most `MOST` of them, evenly spread over the steps.

    Example:
        >>> history = History()
        >>> for step in range(60):
        ...     history.add(2.0)
        >>> history.median_below(100.0), history.median_below(1e4)
        (None, 2.0)
    """

    def __init__(self) -> None:
        self._kept: list[float] = []
        self._every = 1
        self.number = 0
        self.largest = 0.0

    def median_below(self, norm: float) -> float | None:
        """The median of the norms so far, where this one is far above all of them."""
        if self.number < FIRST or norm < ABOVE * self.largest:
            return None
        median = statistics.median(self._kept)
        return median if 0 < median <= norm / TIMES else None

    def add(self, norm: float) -> None:
        """One more has been seen."""
        if self.number % self._every == 0:
            self._kept.append(norm)
        self.number += 1
        self.largest = max(self.largest, norm)
        if len(self._kept) == MOST:
            self._kept, self._every = self._kept[::2], 2 * self._every


class ZeroRates:
    """Looks in a row that found a learning rate of 0 in every group.

    Example:
        >>> rates = ZeroRates()
        >>> for step in 1, 2, 5, 11:
        ...     rates.note(step, is_zero=step > 1)
        >>> rates.found
        (2, 11, 3)
    """

    def __init__(self) -> None:
        self._first = self._looks = 0
        self.found: tuple[int, int, int] | None = None  # the first step, the last, how many looks

    def note(self, step: int, *, is_zero: bool) -> None:
        """Another look; only the first time that it stays at 0 is kept."""
        if not is_zero:
            self._looks = 0
            return
        if not self._looks:
            self._first = step
        self._looks += 1
        if self._looks >= LOOKS and step - self._first >= APART:
            is_new = self.found is None
            if is_new or (self.found is not None and self.found[0] == self._first):
                self.found = self._first, step, self._looks


def is_zero(optimizer: Optimizer) -> bool:
    """Whether every group's learning rate is 0, where that can be told without asking a GPU."""
    found = groups(optimizer)
    return bool(found) and all(_is_zero(group.get("lr")) for group in found)


def _is_zero(rate: Any) -> bool:
    if type(rate) is Tensor and rate.device.type == "cpu" and rate.numel() == 1:
        return bool(rate.item() == 0)
    return type(rate) in (int, float) and rate == 0
