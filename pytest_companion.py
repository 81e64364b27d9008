"""The pytest plugin of companion: the fixture `assert_trains`.

A module of its own, for pytest imports it in every run: torch is imported by the first test that
asks for the fixture, and by no other.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from companion import Trace


@pytest.fixture
def assert_trains(request: pytest.FixtureRequest) -> Callable[..., Trace]:
    """Call a training loop, and fail if it does not train, or is certainly wrong.

    `assert_trains(loop, *args, **kwargs)` watches the loop's first three steps and returns their
    trace.
    """
    from companion.integrations.testing import checked

    return partial(checked, _columns(request.config))


def _columns(config: pytest.Config) -> int | None:
    """How wide the terminal is, which pytest hides from a test whose output it captures."""
    from companion.render.terminal import columns_of

    capture = config.pluginmanager.getplugin("capturemanager")
    with nullcontext() if capture is None else capture.global_and_fixture_disabled():
        return columns_of(sys.__stdout__)
