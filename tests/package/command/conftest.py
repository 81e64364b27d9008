"""How these tests run a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.package.command.running import Start
from tests.package.running import Forks, Ran


@pytest.fixture
def start(forked: Forks, tmp_path: Path) -> Start:
    """Run a script with the command in a process of its own, or alone."""

    def run(*arguments: str, alone: bool = False, **options: Any) -> Ran:
        return forked.run(tmp_path, *arguments, how="script" if alone else "command", **options)

    return run
