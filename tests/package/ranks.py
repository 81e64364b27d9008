"""A function in two processes at once, forks of one that has imported torch and its module."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.package.running import forks

ROOT = Path(__file__).parents[2]
CODE = """
import os, sys
from importlib import import_module
root, module, name, folder = sys.argv[1:]
sys.path.insert(0, root)
from torch.multiprocessing.spawn import start_processes
how = "fork" if hasattr(os, "fork") else "spawn"
start_processes(getattr(import_module(module), name), (folder,), nprocs=2, start_method=how)
"""


def in_both(work: Callable[[int, str], None], folder: Path) -> None:
    """Run a module's function with each rank and the folder; it is an error if one raises."""
    words = str(ROOT), work.__module__, work.__name__, str(folder)
    forks().run(folder, CODE, *words, how="code", variables=loopback()).well()


def loopback() -> dict[str, str]:
    """Variables by which gloo stays on this machine, where nothing else is set."""
    needed = "GLOO_SOCKET_IFNAME" not in os.environ and Path("/sys/class/net/lo").exists()
    return {"GLOO_SOCKET_IFNAME": "lo"} if needed else {}
