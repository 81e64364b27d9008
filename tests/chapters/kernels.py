"""The kernels that execute the chapters: each a fork of one process, or a process of its own.

To import torch and its neighbours takes longer than to execute most chapters.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from jupyter_client.provisioning import local_provisioner
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel

from tests.package.programs import Program, program

# Neither `companion`, which is what a chapter is about, nor pyplot, which looks for a kernel.
IMPORTED = ("sklearn.datasets", "matplotlib.figure", "ipykernel.kernelapp")


class Fork:
    """As much of a `Popen` as is asked of a kernel's process."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    wait = poll  # which is only called once it has ended

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


@cache
def server() -> Program:
    """The program that forks; what is said when a module is imported, a chapter would not hear."""
    script = Path(__file__).with_name("kernel_server.py")
    with NamedTemporaryFile("r") as said:
        started = program(script, *IMPORTED, errors=Path(said.name))
        assert (started.told(), said.read()) == ("ready\n", "")
    return started


def forked(command: list[str], *, cwd: str, env: dict[str, str], **_: object) -> Fork:
    """In place of Jupyter's `launch_kernel`: the same command, in a fork."""
    assert command[:2] == [sys.executable, "-m"]
    asked = {"command": command, "folder": cwd, "variables": env}
    return Fork(int(server().ask(json.dumps(asked))))


def kernel(folder: str, timeout: float) -> RunningKernel:
    """A kernel of this environment, in a folder."""
    with pytest.MonkeyPatch.context() as patched:
        if hasattr(os, "fork"):
            patched.setattr(local_provisioner, "launch_kernel", forked)
        return RunningKernel(CURRENT_ENV_KERNEL_NAME, folder, timeout)
