"""How these tests run a script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.package.command.running import Start
from tests.package.running import Ran, forks


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Run a script with the command in a process of its own, or alone."""

    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")

    def run(*arguments: str, alone: bool = False, **options: Any) -> Ran:
        return forks().run(tmp_path, *arguments, how="script" if alone else "command", **options)

    return run
