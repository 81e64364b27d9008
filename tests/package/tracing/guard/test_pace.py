"""A guard looks as often as a share of the training's time pays for."""

from __future__ import annotations

import pytest

from companion.tracing.guard.pace import Pace
from tests.package.tracing.guard.training import guarded, pair, train

SHARE, GRACE = 0.005, 0.005


def looks(seconds: list[float], look: float, grace: float = GRACE) -> tuple[int, float]:
    """How many there are, and what they take, where this much time is between the steps."""
    pace = Pace(SHARE, grace)
    now, number = 1000.0, 0
    for between in seconds:
        now += between
        if now >= pace.due:
            now += look
            pace.pay(look, now)
            number += 1
    return number, number * look


@pytest.mark.parametrize("step", [1e-4, 5e-3, 0.3])
@pytest.mark.parametrize("look", [1e-5, 1e-4, 1e-2])
def test_the_share_holds(step: float, look: float) -> None:
    number, spent = looks([step] * 20_000, look)
    whole = step * 20_000
    assert spent <= GRACE + SHARE * whole + look
    afforded = (GRACE + SHARE * whole) / look
    assert number >= 0.5 * min(20_000, afforded)


def test_each_step_where_that_is_cheap() -> None:
    assert looks([0.3] * 100, 1e-4)[0] == 100


def test_a_pause_pays_for_one_look() -> None:
    steps = [1e-3] * 100
    with_pause, without = looks([*steps, 1e3, *steps], 1e-4, 0.0), looks(steps + steps, 1e-4, 0.0)
    assert with_pause[0] <= without[0] + 1


def test_one_dear_look_is_forgotten() -> None:
    pace = Pace(SHARE, 0.0)
    now = 0.0
    pace.pay(0.1, now + 0.1)  # the first, that loads things
    number = 0
    for _ in range(100_000):
        now += 5e-3
        if now >= pace.due:
            pace.pay(5e-5, now + 5e-5)
            number += 1
    assert number > 30_000


def test_a_real_training_is_looked_at() -> None:
    """By the clock: how often depends on the machine."""
    net, optimizer = pair()
    with guarded(net, optimizer) as guard:
        train(net, optimizer, 60)
    assert 10 < guard.checked <= guard.steps == 60
    assert guard.seen == []
