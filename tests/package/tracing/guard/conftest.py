"""How often a guard looks in these tests, and that it leaves nothing behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
from torch.optim import optimizer as optimizers

Looking = Callable[[int], None]


class Every:
    """A pace that counts, where a test must not depend on the clock."""

    def __init__(self, number: int) -> None:
        self._number, self._asked = number, 0

    @property
    def due(self) -> float:
        self._asked += 1
        return -math.inf if self._asked % self._number == 0 else math.inf

    def pay(self, spent: float, now: float) -> None:
        pass


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Looking:
    """Have every guard look at each step; called with a number, at one in so many."""

    def every(number: int) -> None:
        monkeypatch.setattr(
            "companion.tracing.guard.guard.Pace", lambda share, grace: Every(number), raising=True
        )

    every(1)
    return every


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    hooks = len(optimizers._global_optimizer_post_hooks)
    yield
    assert len(optimizers._global_optimizer_post_hooks) == hooks
