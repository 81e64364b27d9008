"""What runs in a process of its own: by Python itself, or in a fork of `fork_server`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.package.programs import Program, program
from tests.package.sources import chosen

PYTHON = {"script": [], "module": ["-m"], "code": ["-c"], "command": ["-m", "companion"]}
# Nothing lays out what is printed into a file, whatever is set where the tests are started.
for _name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR"):
    os.environ.pop(_name, None)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
NOTHING: Mapping[str, str] = MappingProxyType({})


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def well(self) -> Ran:
        """The same, if it ended well."""
        assert self.code == 0, self.out + self.err
        return self


class Forks:
    """Runs what it is asked to in forks of one process."""

    def __init__(self, program: Program | None) -> None:
        self._program = program

    def run(
        self,
        folder: Path,
        *arguments: str,
        how: str = "script",
        closed: bool = False,
        whole: bool = False,
        variables: Mapping[str, str] = NOTHING,
        told: Path | None = None,
    ) -> Ran:
        """Run a "script", a "module", "code" or the package's own "command"; see `fork_server`.

        `whole`: exits as Python does, with all that is done then. `closed`: nobody reads its
        output. `told`: where that is kept, if not in the folder.
        """
        if self._program is None:
            if closed:
                pytest.skip("no fork on this system")
            return python(folder, *PYTHON[how], *arguments, variables=variables)
        asked = {
            "how": how,
            "closed": closed,
            "whole": whole,
            "variables": {**chosen(), **variables},
            "folder": str(folder),
            "arguments": arguments,
            "told": str(told or folder),
        }
        code = self._program.ask(json.dumps(asked))
        assert code, "the process that forks has died; see what it wrote to stderr"
        told = told or folder
        return Ran(int(code), (told / "stdout").read_text(), (told / "stderr").read_text())


@cache
def forks(*imported: str) -> Forks:
    """The process of this test run that has imported these; it is started when first asked for.

    Where a system has no fork, Python itself runs what is asked for.
    """
    if not hasattr(os, "fork"):
        return Forks(None)
    server = Path(__file__).with_name("fork_server.py")
    return Forks(program(server, "companion.__main__", *imported, variables=ENVIRONMENT))


def python(folder: Path, *arguments: str, variables: Mapping[str, str] = NOTHING) -> Ran:
    """Run Python itself."""
    return run(
        folder, sys.executable, *arguments, variables={**ENVIRONMENT, **chosen(), **variables}
    )


def run(
    folder: Path,
    *command: str | Path,
    variables: Mapping[str, str] = NOTHING,
    among: Mapping[str, str] = os.environ,
    told: str = "",
) -> Ran:
    """Run any command, with these variables among others; on stdin it is told a text."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**among, **variables},
        input=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def write(folder: Path, text: str, name: str = "script.py") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
