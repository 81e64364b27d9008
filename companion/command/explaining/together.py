"""Running an example in two processes, as forks of this one, and comparing what they saw."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep

import torch
from torch import distributed

from companion.command.scout.scout import Scout
from companion.diagnosis.ranks.rules import compare
from companion.diagnosis.ranks.summary import Summary, names_told, summary
from companion.records.finding import Finding
from companion.render.counts import count_steps

WORLD = 2
PATIENCE = 60.0  # seconds


def can_run() -> bool:
    """Whether this system can fork, and its torch has gloo."""
    return hasattr(os, "fork") and distributed.is_available() and distributed.is_gloo_available()


def judged_together(run: Callable[[], Scout]) -> list[Finding]:
    """Run this in two processes of one group, and say what is found between them."""
    importlib.import_module("torch._dynamo")  # DistributedDataParallel does, in each process
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        children = [_start(rank, port, Path(folder), run) for rank in range(WORLD)]
        _wait_for(children)
        told = [json.loads(path.read_text()) for path in sorted(Path(folder).iterdir())]
    if len(told) < WORLD:
        raise ValueError("two processes could not be joined here, so there is no example to show")
    return compare([Summary.of_dict(one["summary"]) for one in told], told[0]["names"])


def _wait_for(children: list[int]) -> None:
    """Until all have ended; those that take too long are ended."""
    latest = perf_counter() + PATIENCE
    while children:
        children = [child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)]
        if children and perf_counter() > latest:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return
        sleep(0.01)


def _start(rank: int, port: int, folder: Path, run: Callable[[], Scout]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)  # OpenMP's other threads are not there after a fork
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(WORLD), LOCAL_RANK=str(rank))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        if Path("/sys/class/net/lo").exists():  # where the host's own name leads nowhere
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        scout = run()
        records = [] if scout.routine is None else scout.routine.records
        seen = summary(rank, "", records, scout.tally.parallel, count_steps(records))
        told = {"summary": seen.to_dict(), "names": names_told(records)}
        (folder / str(rank)).write_text(json.dumps(told))
    finally:
        os._exit(0)
