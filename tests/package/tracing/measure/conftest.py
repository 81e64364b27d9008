"""Readings do not depend on who tells of lines: each test runs once, not once for each source."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """In place of the one for traces: no trace is made here."""
