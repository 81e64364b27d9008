"""What these tests watch, and how they tell what a trace holds."""

from __future__ import annotations

import sys
from types import FrameType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from companion import Trace
from companion.tracing.sources.desk import NAME


class Loop(SimpleNamespace):
    """What a training loop has at hand."""

    net: Any
    optimizer: torch.optim.Optimizer
    criterion: nn.CrossEntropyLoss
    inputs: Tensor
    labels: Tensor


def counts(routine: Trace) -> list[tuple[str, int, int]]:
    """Source, number of changed gradients, number of changed parameters: of lines that did."""
    return [
        (r.source, len(r.changed_gradients), len(r.changed_parameters))
        for r in routine.records
        if r.changed_gradients or r.changed_parameters
    ]


def sources(routine: Trace) -> list[str]:
    return [record.source for record in routine.records]


def spy(seen: list[tuple[str, str, int]]) -> Any:
    """A tracer as a debugger would install it: it follows every frame of the caller's file."""
    here = sys._getframe(1).f_code.co_filename

    def local(frame: FrameType, event: str, arg: object) -> Any:
        seen.append((event, frame.f_code.co_name, frame.f_lineno))
        return local

    def everywhere(frame: FrameType, event: str, arg: object) -> Any:
        return local(frame, event, arg) if frame.f_code.co_filename == here else None

    return everywhere


INPUTS, LABELS = torch.ones(4, 3), torch.tensor([0, 1, 0, 1])


def loss_of(net: Any) -> Tensor:
    return nn.functional.cross_entropy(net(INPUTS), LABELS)


def forward(net: Any, times: int) -> list[Tensor]:
    return [loss_of(net) for _ in range(times)]


def lines(routine: Trace) -> list[tuple[int, str, str]]:
    """Depth, name of the function, source."""
    return [(r.depth, r.function.rpartition(".")[2], r.source) for r in routine.records]


def changes(routine: Trace) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [
        (r.source, r.changed_gradients, r.changed_parameters)
        for r in routine.records
        if r.changed_gradients or r.changed_parameters
    ]


def assert_chained(routine: Trace) -> None:
    """What one line leaves behind is what the next one finds; numbers count up."""
    for one, two in zip(routine.records, routine.records[1:], strict=False):
        assert one.after is two.before
        assert one.step <= two.step
    assert [r.index for r in routine.records] == list(range(len(routine.records)))


BOTH = ("weight", "bias")


def traced_steps(routine: Trace) -> list[int]:
    return sorted({r.step for r in routine.records if r.changed_parameters})


def tools() -> list[int]:
    """The tools of `sys.monitoring` that we have now."""
    if sys.version_info < (3, 12):
        return []
    return [tool for tool in range(6) if sys.monitoring.get_tool(tool) == NAME]


def is_traced() -> bool:
    """Whether anybody is told of calls, by either source."""
    if sys.version_info >= (3, 12) and any(map(sys.monitoring.get_events, tools())):
        return True
    return sys.gettrace() is not None


def is_followed(frame: FrameType) -> bool:
    """Whether anybody is told of a frame's lines, by either source."""
    if sys.version_info >= (3, 12):
        code, events = frame.f_code, sys.monitoring.get_local_events
        return frame.f_trace is not None or any(events(tool, code) for tool in tools())
    return frame.f_trace is not None


class Watch:
    """Notes for each step whether Python is being traced, and this frame is."""

    def __init__(self) -> None:
        self.on: list[bool] = []

    def look(self) -> None:
        assert is_followed(sys._getframe(1)) == is_traced()
        self.on.append(is_traced())
