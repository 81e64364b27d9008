"""When to look: as often as a share of the training's own time pays for, and no more."""

from __future__ import annotations


class Pace:
    """What our own looks have taken, and what the training's time has paid back.

    A look is due when all is paid back. Nothing is saved up, beyond what there is from the start:
    looks do not come in a row after a pause.

    Args:
        share: For every second of the training's own, so many.
        grace: Seconds that are there from the start: a short training is looked at, too.

    Example:
        >>> pace = Pace(share=0.01, grace=0.0)
        >>> pace.is_due(now=10.0)
        True
        >>> pace.pay(0.5, now=10.5)
        >>> pace.is_due(now=60.0), pace.is_due(now=110.6)
        (False, True)
    """

    def __init__(self, share: float, grace: float) -> None:
        self._share, self._left = share, grace
        self._last: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        if self._last is not None:
            paid = self._left + self._share * (now - self._last)
            self._left = min(paid, max(self._left, 0.0))
        self._last = now
        return self._left >= 0

    def pay(self, spent: float, now: float) -> None:
        """A look has taken so many seconds."""
        self._left -= spent
        self._last = now
