"""What runs in a process of its own: by Python itself, or in a fork of `fork_server`."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

PYTHON = {"script": [], "module": ["-m"], "code": ["-c"], "command": ["-m", "companion"]}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Forks:
    """Runs what it is asked to in forks of one process."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process

    def run(
        self,
        folder: Path,
        *arguments: str,
        how: str = "script",
        closed: bool = False,
        whole: bool = False,
        variables: Mapping[str, str] = MappingProxyType({}),
        imported: Sequence[str] = (),
        told: Path | None = None,
    ) -> Ran:
        """Run a "script", a "module", "code" or the package's own "command"; see `fork_server`.

        `imported` is imported before the fork, once for all. `whole`: exits as Python does, with
        all that is done then. `closed`: nobody reads its output. `told`: where that is kept, if not
        in the folder.
        """
        if self._process is None:
            return python(folder, *PYTHON[how], *arguments)
        asked = {
            "how": how,
            "closed": closed,
            "whole": whole,
            "variables": dict(variables),
            "folder": str(folder),
            "arguments": arguments,
            "imported": imported,
            "told": str(told or folder),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        told = told or folder
        return Ran(code, (told / "stdout").read_text(), (told / "stderr").read_text())


@cache
def forks() -> Forks:
    """The one process of this test run; it is started when it is first asked for.

    Where a system has no fork, Python itself runs what is asked for.
    """
    if not hasattr(os, "fork"):
        return Forks(None)
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )
    atexit.register(process.communicate)
    return Forks(process)


def python(folder: Path, *command: str) -> Ran:
    """Run Python itself."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def write(folder: Path, text: str, name: str = "script.py") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
