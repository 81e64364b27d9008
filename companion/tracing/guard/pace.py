"""When to look: as often as a share of the training's own time pays for, and no more."""

from __future__ import annotations

import math


class Pace:
    """What a look has taken is paid back by the training's time, then the next one is due.

    Nothing is saved up, beyond what there is from the start: looks do not come in a row after a
    pause.

    Args:
        share: For every second of the training's own, so many.
        grace: Seconds that are there from the start: a short training is looked at, too.

    Attributes:
        due: The time from which on a look is due.

    Example:
        >>> pace = Pace(share=0.01, grace=0.0)
        >>> pace.due
        -inf
        >>> pace.pay(0.5, now=10.0)
        >>> pace.due
        60.0
    """

    def __init__(self, share: float, grace: float) -> None:
        self._share, self._grace = share, grace
        self.due = -math.inf

    def pay(self, spent: float, now: float) -> None:
        """A look has taken so many seconds."""
        self._grace -= spent
        if self._grace < 0:
            self.due = now + spent / self._share
