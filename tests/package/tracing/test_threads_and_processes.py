"""Other threads, forked processes, and what a trace leaves behind."""

from __future__ import annotations

import gc
import os
import sys
import threading
import tracemalloc
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from companion import Trace, trace
from tests.package.tracing.watching import (
    BOTH,
    Loop,
    changes,
    is_followed,
    is_traced,
    loss_of,
    spy,
    tools,
)


def test_a_write_by_another_thread_is_seen_on_the_line_that_was_under_way(net: Any) -> None:
    def work() -> None:
        with torch.no_grad():
            net.weight.mul_(2)

    thread = threading.Thread(target=work)
    with trace(net) as routine:
        thread.start()
        thread.join()
    (change,) = changes(routine)
    assert change[1:] == ((), ("weight",))
    assert change[0] in ("thread.start()", "thread.join()")


def test_two_traces_in_two_threads() -> None:
    results: dict[int, list[tuple[str, tuple[str, ...], tuple[str, ...]]]] = {}
    barrier = threading.Barrier(2)

    def train(i: int) -> None:
        net = nn.Linear(3, 2)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        barrier.wait()
        with trace(net, sgd, every=2) as routine:
            for _ in range(3):
                loss_of(net).backward()
                sgd.step()
        results[i] = changes(routine)

    threads = [threading.Thread(target=train, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    one = [("loss_of(net).backward()", BOTH, ()), ("sgd.step()", (), BOTH)]
    assert results == {0: one * 2, 1: one * 2}


class Tracing(Dataset[tuple[bool, int]]):
    """Each item says whether the process that made it is traced, and which it is."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[bool, int]:
        frame: FrameType | None = sys._getframe()
        traced = is_traced()
        while frame is not None:
            traced = traced or is_followed(frame)
            frame = frame.f_back
        return traced, os.getpid()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_of_a_data_loader_are_not_traced(net: Any, sgd: torch.optim.SGD) -> None:
    loader = DataLoader(Tracing(), batch_size=2, num_workers=2, multiprocessing_context="fork")
    found: list[tuple[bool, int]] = []
    with trace(net, sgd) as routine:
        for traced, process in loader:
            found += zip(traced.tolist(), process.tolist(), strict=True)
            loss_of(net).backward()
            sgd.step()
    assert [traced for traced, _ in found] == [False] * 4
    assert os.getpid() not in {process for _, process in found}
    assert [r.source for r in routine.records if r.changed_parameters] == ["sgd.step()"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_leaves_the_block_without_a_word(net: Any, sgd: torch.optim.SGD) -> None:
    before, seen = sys.gettrace(), list[Any]()
    tracer = spy(seen)
    sys.settrace(tracer)
    child = -1
    try:
        with trace(net, sgd) as routine:
            child = os.fork()
            sgd.step()  # computes nothing: torch's threads are not in the child
        if child == 0:
            mine = [r.source for r in routine.records]
            clean = sys.gettrace() is tracer and not sgd._optimizer_step_post_hooks
            os._exit(0 if clean and not mine and not tools() else 1)
    except BaseException:
        if child == 0:
            os._exit(2)
        raise
    finally:
        sys.settrace(before)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(routine.records) == 2


def test_what_a_trace_leaves_behind_is_small() -> None:
    """The README and the docstring say about 200 bytes for each tensor that a step changed."""
    net = nn.ModuleList(nn.Linear(8, 8) for _ in range(50))
    sgd = torch.optim.SGD(net.parameters(), lr=1e-3)
    inputs, steps, changed = torch.ones(4, 8), 20, 2 * 100  # a gradient and a parameter each

    def train() -> Trace:
        with trace(net, sgd) as routine:
            for _ in range(steps):
                sgd.zero_grad()
                sum(layer(inputs).square().mean() for layer in net).backward()
                sgd.step()
        return routine

    train()  # what is made once
    tracemalloc.start()
    try:
        routine = train()
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] / steps / changed
    finally:
        tracemalloc.stop()
    assert sum(len(r.changed_parameters) for r in routine.records) == steps * 100
    assert 100 < left < 300


def test_a_trace_of_too_many_lines_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("companion.tracing.extent.MOST_LINES", 10)
    net = nn.Linear(1, 1)
    with trace(net, steps=None) as routine:
        for _ in range(100):
            net(torch.ones(1, 1))
    assert len(routine.records) == 10
    assert sys.gettrace() is None or "companion" not in repr(sys.gettrace())


def test_other_threads_are_not_traced(loop: Loop) -> None:
    def work() -> None:
        tracers.append(sys.gettrace())

    tracers: list[object] = []
    before = threading.gettrace() if hasattr(threading, "gettrace") else None
    with trace(loop.net, loop.optimizer) as routine:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert tracers == [before]
    assert len(routine.records) == 3
