"""torch's global step hooks: ours come and go while other threads step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.optim.optimizer as torch_optimizer
from torch import nn

from companion import trace
from companion.isolation.stepping import AFTER


def nobody(optimizer: Any, args: Any, kwargs: Any) -> None: ...


def pair() -> tuple[nn.Linear, torch.optim.SGD]:
    net = nn.Linear(2, 1)
    return net, torch.optim.SGD(net.parameters(), lr=0.1)


class Stepping:
    """Another thread, in the middle of a step: torch is going through its hooks."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._inside, self._go_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        _, optimizer = pair()
        try:
            optimizer.step()
        except BaseException as error:
            self.error = error

    def _hear(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if threading.current_thread() is self._thread:
            self._inside.set()
            assert self._go_on.wait(60)

    def __enter__(self) -> Stepping:
        AFTER.add(self._hear)
        self._own = torch_optimizer.register_optimizer_step_post_hook(lambda *_: None)
        self._thread.start()
        assert self._inside.wait(60)
        return self

    def __exit__(self, *error: object) -> None:
        AFTER.remove(self._hear)
        self._go_on.set()
        self._thread.join()
        self._own.remove()


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """An entry that had to stay goes with the next listener."""
    yield
    AFTER.add(nobody)
    AFTER.remove(nobody)
    assert not torch_optimizer._global_optimizer_post_hooks


def test_a_trace_that_begins_and_ends_while_another_thread_steps() -> None:
    net, optimizer = pair()
    with Stepping() as other, trace(net, optimizer) as routine:
        net(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert other.error is None
    assert [e.kind for e in routine.records[-1].events] == ["step"]


def test_a_hook_that_is_changed_meanwhile_would_raise() -> None:
    """What torch does: this is what is kept away."""
    with Stepping() as other:
        handle = torch_optimizer.register_optimizer_step_post_hook(lambda *_: None)
    handle.remove()
    assert "mutated during iteration" in str(other.error)


def test_a_listener_is_told_once() -> None:
    heard: list[object] = []

    def hear(optimizer: Any, args: Any, kwargs: Any) -> None:
        heard.append(optimizer)

    _, optimizer = pair()
    AFTER.add(hear)
    AFTER.add(hear)
    optimizer.step()
    AFTER.remove(hear)
    optimizer.step()
    assert heard == [optimizer]
