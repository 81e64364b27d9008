"""How far a recorder goes: so many steps, lines and seconds, and no further."""

from __future__ import annotations

from companion.isolation.budget import Budget

MOST_LINES = 100_000  # then the trace stops watching; it would fill the memory
MOST_IDLE = 1000  # lines without effect in a row; then nothing is watched until the next backward
MOST_LATER = 100  # the same, where they come after the first steps: a model is tested


class Extent:
    """Counts what has been watched.

    Args:
        most: Steps that are to be watched; None for all.

    Attributes:
        steps: Those that have been.
        others: Steps of optimizers that nobody named, with the networks' parameters.
        idle: Lines without effect, in a row.
        budget: How long all that we do may take; whoever works adds the time.

    Example:
        >>> extent = Extent(3)
        >>> extent.steps = 3
        >>> extent.is_complete
        True
        >>> extent.widen()
        >>> extent.is_complete, extent.over(lines=100_000)
        (False, 'only the first 100000 lines are watched')
    """

    def __init__(self, most: int | None) -> None:
        self._most, self._most_idle = most, MOST_IDLE
        self.steps = self.others = self.idle = 0
        self.budget = Budget(grace=3, share=1)

    @property
    def is_complete(self) -> bool:
        """Whether as many steps as were asked for have been watched."""
        return self._most is not None and self.steps >= self._most

    def widen(self) -> None:
        """One more step is to be watched."""
        self._most, self._most_idle = self.steps + 1, MOST_LATER

    def is_idle(self) -> bool:
        """A line is over: whether lines had no effect for so long that they are no training."""
        self.idle += 1
        return self.idle > self._most_idle

    def over(self, lines: int) -> str | None:
        """Why no more is watched, though it is not complete."""
        if self.budget.is_spent:
            return f"watching had taken {self.budget.spent:.0f} s, more than the script itself"
        if lines >= MOST_LINES:
            return f"only the first {MOST_LINES} lines are watched"
        if self._most is not None and self.others > 4 * self._most:
            return "only an optimizer's first steps are watched"
        return None
