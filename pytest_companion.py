"""The pytest plugin of companion: the fixture `assert_trains`.

A module of its own, for pytest imports it in every run: torch is imported by the first test that
asks for the fixture, and by no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from companion import Trace


@pytest.fixture
def assert_trains() -> Callable[..., Trace]:
    """Call a training loop, and fail if it does not train, or is certainly wrong.

    `assert_trains(loop, *args, **kwargs)` watches the loop's first three steps and returns their
    trace.
    """
    from companion.integrations.testing import assert_trains as run

    return run
