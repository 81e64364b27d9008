"""Running a script in the environment that holds libraries with a loop of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import companion
from tests.package.running import Ran, run, write

PYTHON = os.environ.get("FRAMEWORKS_PY", "")
ROOT = str(Path(companion.__file__).parents[1])


def watched(
    folder: Path,
    script: str,
    *options: str,
    command: bool = True,
    before: Sequence[str] = ("-m", "companion"),
) -> Ran:
    """Run a script there, by the command (started as `before` says) or alone."""
    if not PYTHON:
        pytest.skip("FRAMEWORKS_PY names no Python with these libraries: make test-all makes one")
    write(folder, script, "train.py")
    started = [*before, *options] if command else []
    return run(folder, PYTHON, *started, "train.py", variables={"PYTHONPATH": ROOT})
