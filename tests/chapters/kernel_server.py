"""A process that has imported what the chapters import; each kernel is a fork of it.

It is asked on stdin, in a line of JSON, and answers with the number of the process. Of its own it
leaves nothing: no path, no module but those named as its arguments, nothing frozen.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from importlib import import_module
from typing import Any

# As ipykernel sets it, for matplotlib reads it when it is imported.
INLINE = "module://matplotlib_inline.backend_inline"


def next_kernel() -> dict[str, Any]:
    """What this process, a fork by then, is asked to be."""
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if not os.fork():
            return asked
    sys.exit()


def become(command: list[str], folder: str, variables: dict[str, str]) -> None:
    """What a process that runs the command (`python -m module ...`) in this folder begins with."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    print(os.getpid(), flush=True)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.close(nothing)
    # ipykernel has read by now whose end is its own: that of the process which forks.
    variables["JPY_PARENT_PID"] = os.environ["JPY_PARENT_PID"]
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = command[2:]
    # Each process begins with random numbers of its own; Python's are new in a fork anyway.
    sys.modules["numpy"].random.seed()
    sys.modules["torch"].default_generator.seed()


def main() -> None:
    """Fork until nobody asks any more."""
    del sys.path[0]  # this file's folder
    os.environ["JPY_PARENT_PID"] = str(os.getpid())
    os.environ.setdefault("MPLBACKEND", INLINE)
    for name in sys.argv[1:]:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone, and nobody's zombie
    print("ready", flush=True)
    asked = next_kernel()
    become(**asked)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
