"""What was the same the last time is kept as the same object."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """What was the same the last time is the same object: step after step does the same."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}

    def of(self, kind: str, one: T) -> T:
        """One, or what was given of this kind the last time if that is equal."""
        last: T = self._last.setdefault(kind, one)
        if last != one:
            self._last[kind] = last = one
        return last
