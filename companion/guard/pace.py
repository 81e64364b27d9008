"""When to look: as often as a share of the training's own time pays for, and no more."""

from __future__ import annotations


class Pace:
    """Time for our own looks, saved up while the training runs.

    A look is due when the time saved pays for one like the dearest of late. No more than that is
    ever saved, beyond what there is from the start: looks do not come in a row after a pause.

    Args:
        share: For every second of the training's own, so many.
        grace: Seconds that are there from the start: a short training is looked at, too.

    Example:
        >>> pace = Pace(share=0.01, grace=0.0)
        >>> pace.is_due(now=10.0)  # the first one, to learn what it costs
        True
        >>> pace.pay(began=10.0, ended=10.5)
        >>> pace.is_due(now=60.0), pace.is_due(now=110.6)
        (False, True)
    """

    def __init__(self, share: float, grace: float) -> None:
        self._share, self._saved = share, grace
        self._price = 0.0
        self._last: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        if self._last is not None:
            most = max(self._saved, self._price)
            self._saved = min(self._saved + self._share * (now - self._last), most)
        self._last = now
        return self._saved >= self._price

    def pay(self, began: float, ended: float) -> None:
        """A look has taken from then to then."""
        spent = ended - began
        self._price = max(spent, 0.9 * self._price)  # the first ones are the dearest
        self._saved -= spent
        self._last = ended
