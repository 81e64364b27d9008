"""Where the time of a watched step goes: each part of the trace, told by wrapping its function."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ways import TRACED, Case

from companion.tracing.events.readers import Readers
from companion.tracing.events.values import Values
from companion.tracing.follower import Follower
from companion.tracing.measure.meter import Meter
from companion.tracing.recorder import Recorder

# A part, and the functions whose time it is; what stands further down is not counted again above.
PARTS: dict[str, list[tuple[type, str]]] = {
    "a line: all that follows it": [(Follower, "on_line")],
    "its end": [(Recorder, "finish")],
    "tensors: versions, values, readings": [(Meter, "measure")],
    "what it binds: shapes, the loss, its graph": [(Values, "of")],
    "what its text and variables tell": [(Readers, "before"), (Readers, "after")],
    "a call of torch that is an event": [(Follower, "on_call")],
    "an optimizer's step": [(Recorder, "stepped")],
}
WARM = 20


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Each part's own seconds, without those of the parts that it calls."""
    running: list[float] = []  # of the parts under way: what those within them have taken
    kept: list[tuple[type, str, Any]] = []

    def wrapped(act: Callable[..., Any], part: str) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            running.append(0.0)
            began = time.perf_counter()
            try:
                return act(*given, **named)
            finally:
                taken = time.perf_counter() - began
                spent[part] += taken - running.pop()
                if running:
                    running[-1] += taken

        return run

    for part, functions in PARTS.items():
        for owner, name in functions:
            act = owner.__dict__[name]
            kept.append((owner, name, act))
            setattr(owner, name, wrapped(act, part))
    try:
        yield
    finally:
        for owner, name, act in kept:
            setattr(owner, name, act)


def parts_rows(case: Case, rounds: int, steps: int) -> Iterator[list[str]]:
    """For each part the microseconds a step that are its own: the median of the rounds."""
    found: dict[str, list[float]] = defaultdict(list)
    TRACED.loop(case, iter([case.batch] * WARM), TRACED.watch(case))
    for _ in range(rounds):
        spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        with timed(spent):
            TRACED.loop(case, iter([case.batch] * steps), TRACED.watch(case))
        for part, seconds in spent.items():
            found[part].append(seconds / steps * 1e6)
    for part, each in found.items():
        yield [part, f"{statistics.median(each):.0f}"]
