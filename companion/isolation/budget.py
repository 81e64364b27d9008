"""How long our own work may take: a grace, then a share of the time that the script takes."""

from __future__ import annotations

from time import perf_counter


class Budget:
    """Time spent on our own work, beside the time that has passed without it.

    Args:
        grace: Seconds that are always there.
        share: And for every second of the script's own, so many.

    Attributes:
        spent: Seconds spent so far.

    Example:
        >>> budget = Budget(grace=1.0, share=0.5)
        >>> with budget:
        ...     total = sum(range(1000))
        >>> budget.is_spent
        False
        >>> budget.spent += 1000
        >>> budget.is_spent
        True
    """

    def __init__(self, grace: float, share: float) -> None:
        self._grace, self._share = grace, share
        self._began = perf_counter()
        self._since = 0.0
        self.spent = 0.0

    @property
    def is_spent(self) -> bool:
        """Whether more has been spent than is allowed by now."""
        others = perf_counter() - self._began - self.spent
        return self.spent > self._grace + self._share * others

    def __enter__(self) -> None:
        self._since = perf_counter()

    def __exit__(self, *error: object) -> None:
        self.spent += perf_counter() - self._since
