"""These tests ask for a source themselves: there must be two."""

from __future__ import annotations

import sys

import pytest

collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 12) else []


@pytest.fixture
def source() -> str:
    """The one that is taken if nothing is said."""
    return "monitoring"
