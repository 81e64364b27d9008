"""How *Two processes* starts others: never for long, none is left, and what is said of a failure.

Its cells' own functions, run as a script: all of what can go wrong, one after the other.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import ROOT
from tests.chapters.ranks import needs_gloo
from tests.package.running import python

pytestmark = needs_gloo
CELLS = nbformat.read(ROOT / "book/11_two_processes.ipynb", as_version=4).cells
WANTED = ("How this notebook runs that command", "How two processes wait for functions")
HEAD = """\
import ast, inspect, json, os, re, subprocess, sys, tempfile, textwrap, time, types
from pathlib import Path

import torch
import torch.distributed as dist

folder = tempfile.TemporaryDirectory()
"""
TRIED = '''
HUNDRED = 100


def helps(rank):
    """Uses a number of this script."""
    return HUNDRED + rank


def undecorated(function):
    return function


@torch.no_grad()
@undecorated
def uses(rank, more=helps(0)):
    return helps(rank) + more, os.getpid(), torch.is_grad_enabled()


def fails(rank):
    if rank == 1:
        raise ValueError("one of two")
    dist.all_reduce(torch.ones(1))


def leaves(rank):
    if rank == 0:
        dist.all_reduce(torch.ones(1))


def endless(rank):
    while True:
        time.sleep(0.01)


def said(call, *given):
    try:
        return call(*given)
    except RuntimeError as error:
        return str(error)


told = {"used": said(on_both, uses)}
for function in fails, leaves, helps:
    told[function.__name__] = said(on_both, function)
LIMIT = 1
told["endless"] = said(on_both, endless)
told["ended"] = on_both.process.wait(60) is not None
told["late"] = said(torchrun, "-c", "")
LIMIT = 120
RAISES = "import torch.distributed as dist\\nraise dist.DistBackendError('no gloo here')"
Path(folder.name, "raises.py").write_text(RAISES)
told["raises"] = said(torchrun, "raises.py")
told["again"] = said(on_both, uses)
print(json.dumps(told), flush=True)
os._exit(0)  # as a kernel that is killed
'''


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script says of each attempt."""
    place = tmp_path_factory.mktemp("two")
    folded = {
        cell.metadata.mystnb.code_prompt_show: cell.source
        for cell in CELLS
        if "code_prompt_show" in cell.metadata.get("mystnb", {})
    }
    cells = [folded[words] for words in WANTED]
    (place / "tried.py").write_text("\n\n".join([HEAD, *cells, TRIED]))
    ran = python(place, "tried.py", variables={"TMPDIR": str(place)}).well()
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_a_function_brings_what_it_uses(told: dict[str, Any]) -> None:
    assert [used[0] for used in told["used"]] == [200, 201]
    assert [used[2] for used in told["used"]] == [False, False]


def test_the_error_is_that_of_the_rank_that_failed(told: dict[str, Any]) -> None:
    assert told["fails"] == "on rank 1: ValueError: one of two"
    assert told["leaves"] == "one rank waited for the other, which did not come"


def test_the_two_go_on_after_an_error(told: dict[str, Any]) -> None:
    assert told["helps"] == [100, 101]


def test_nothing_waits_for_ever_and_others_take_its_place(told: dict[str, Any]) -> None:
    for late in "endless", "late":
        assert told[late].startswith("Two processes cannot train together here. They say:\n")
    assert told["ended"]
    assert told["again"][0][0] == 200
    assert {pid for _, pid, _ in told["again"]}.isdisjoint(pid for _, pid, _ in told["used"])


def test_where_two_cannot_start_the_reason_is_said(told: dict[str, Any]) -> None:
    wanted = "torch.distributed.DistBackendError: no gloo here"
    assert told["raises"] == f"Two processes cannot train together here. They say:\n{wanted}"


def test_none_is_left_when_the_kernel_is_gone(told: dict[str, Any]) -> None:
    pids = [pid for which in ("used", "again") for _, pid, _ in told[which]]
    latest = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < latest:
        time.sleep(0.1)
    assert not any(map(alive, pids))


def test_every_output_is_the_same_on_any_machine() -> None:
    """No address, no port, no number of a process."""
    text = json.dumps([cell.get("outputs", []) for cell in CELLS])
    assert not re.search(r"127\.0\.0\.1|localhost|:\d{4,5}\b|pid", text)
    assert "2 ranks watched, 3 steps each, no findings" in text
