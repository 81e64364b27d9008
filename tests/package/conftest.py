"""One process for all that runs a script in a fork of it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.package.running import Forks, forks


@pytest.fixture(scope="session")
def forked() -> Iterator[Forks]:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    with forks() as running:
        yield running
