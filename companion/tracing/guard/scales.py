"""What a GradScaler's scale tells of the steps that it skipped: each makes it smaller.

No hook of torch's tells of a step that was skipped. So only this is known: what the scale was, what
it is now, and how many steps were made meanwhile.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from companion.isolation.objects import attributes
from companion.records.sighting import Sighting
from companion.tracing.guard.norms import is_readable

FEW = 10  # steps skipped, and steps skipped in a row, that are not worth a word
_SMALLEST = 2.0**-149  # of float32, and then 0


class Scales:
    """The scale, from look to look.

    Example:
        >>> scales = Scales(GradScaler("cpu"))
        >>> scales.note(65536.0, made=3)
        >>> scales.note(0.5, made=4)
        >>> scales.sighting().observed
        'its scale fell from 65536 to 0.5, as it does when 17 steps or more are skipped; 1 was made'
    """

    def __init__(self, scaler: GradScaler) -> None:
        self._scaler: weakref.ref[Any] = weakref.ref(scaler)
        self._name = type(scaler).__name__
        backoff = attributes(scaler).get("_backoff_factor")
        self._backoff = backoff if type(backoff) is float and 0 < backoff < 1 else 0.5
        self._first: tuple[float, int] | None = None  # the scale, and the steps made
        self._last: tuple[float, int] | None = None
        self._skipped = self._in_a_row = 0

    def tensor(self) -> Tensor | None:
        """What holds the scale now."""
        held = attributes(self._scaler()).get("_scale")
        return held if is_readable(held) and held.numel() == 1 else None

    def note(self, scale: float, made: int, *, is_end: bool = False) -> None:
        """The scale when so many steps were made; `is_end`: after the last of them."""
        if self._last is None:
            self._first = self._last = scale, made
            return
        before, then = self._last
        if made < then or (made == then and not is_end):
            return  # read before, and came later
        skipped = self._steps_down(before, scale)
        self._skipped += skipped
        self._in_a_row = max(self._in_a_row, -(-skipped // max(1, made - then + is_end)))
        self._last = scale, made

    def _steps_down(self, before: float, after: float) -> int:
        """How many skipped steps make this of that; 0 where somebody else has set it."""
        if not 0 <= after < before < math.inf:
            return 0
        steps = math.log(max(after, _SMALLEST) / before, self._backoff)
        return round(steps) if abs(steps - round(steps)) < 0.001 else 0

    def sighting(self) -> Sighting | None:
        """What is to be said: nothing of a search that ends at a scale of 1 or more."""
        if self._first is None or self._last is None or self._last[0] >= 1:
            return None
        (first, then), (last, now) = self._first, self._last
        made = now - then
        if self._skipped < FEW or (self._skipped <= made and self._in_a_row < FEW):
            return None
        were = f"{made or 'none'} {'was' if made == 1 else 'were'} made"
        observed = (
            f"its scale fell from {first:g} to {last:g}, as it does when {self._skipped} "
            f"steps or more are skipped; {were}"
        )
        return Sighting("skipped", self._name, now, False, None, observed)
