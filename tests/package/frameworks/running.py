"""Running a script in the environment that holds libraries with a loop of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import companion
from tests.package.running import Ran, run, write

PYTHON = os.environ.get("FRAMEWORKS_PY", "")
ROOT = str(Path(companion.__file__).parents[1])


def watched(folder: Path, script: str, *options: str, command: bool = True) -> Ran:
    """Run a script there, by the command or alone."""
    if not PYTHON:
        pytest.skip("FRAMEWORKS_PY names no Python with these libraries: make test-all makes one")
    write(folder, script, "train.py")
    before = ["-m", "companion", *options] if command else []
    return run(folder, PYTHON, *before, "train.py", variables={"PYTHONPATH": ROOT})
