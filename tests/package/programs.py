"""Programs that answer a line with a line: forks of `zygote`, which all workers share."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from json import dumps
from pathlib import Path
from tempfile import gettempdir

IMPORTED = ("torch._dynamo",)
PATIENCE = 120  # seconds, on a busy machine

_STARTED: list[subprocess.Popen[bytes]] = []  # or Python would warn that one still runs


class Program:
    """One of them; it ends when it is closed, or when this process has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._said = connection, connection.makefile(encoding="utf-8")

    def ask(self, line: str) -> str:
        """Its answer, a line with its end; empty if there is none any more."""
        self._connection.sendall(f"{line}\n".encode())
        return self.told()

    def told(self) -> str:
        """Its next line."""
        return self._said.readline()

    def close(self) -> None:
        """Let it see the end of its input."""
        self._said.close()
        self._connection.close()


def program(
    *arguments: str | Path,
    folder: Path | None = None,
    variables: Mapping[str, str] = os.environ,
    errors: Path | None = None,
) -> Program:
    """What `python arguments` would be, in a folder, but for torch, which it finds imported."""
    asked = {
        "arguments": [*map(str, arguments)],
        "folder": str(folder or Path.cwd()),
        "variables": dict(variables),
        "errors": str(errors or ""),
    }
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        begun = Program(_connected(end))
        with suppress(OSError):  # where the last program has just ended, and the process with it
            if begun.ask(dumps(asked)) == "begun\n":
                atexit.register(begun.close)
                return begun
        begun.close()
    raise TimeoutError(f"{arguments} has not begun within {PATIENCE} seconds")


def _connected(end: float) -> socket.socket:
    """A connection to the process, which is started where nobody listens."""
    started = 0.0
    while time.monotonic() < end:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(_path())
        except OSError:
            connection.close()
        else:
            return connection
        if time.monotonic() - started > 10:
            started = time.monotonic()
            _start()
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens at {_path()}")


@cache
def _path() -> str:
    """Where this test run's process listens."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    return os.path.join(gettempdir(), f"zygote-{run}")


def _start() -> None:
    """In a session of its own: it belongs to all workers, and ends by itself."""
    file = str(Path(__file__).with_name("zygote.py"))
    process = subprocess.Popen(
        [sys.executable, file, _path(), *IMPORTED],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    _STARTED.append(process)
