"""What the fixture `assert_trains` does: run a loop, watch it, fail where it is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec

from companion.integrations.watching import Watching
from companion.render.terminal import columns_of
from companion.tracing.result import Trace

P = ParamSpec("P")
MARGIN = 8  # columns that pytest puts before what a line of a test function raises


def assert_trains(loop: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Trace:
    """Call a loop with these arguments, and fail if it does not train, or is certainly wrong.

    Its first three steps are watched. The networks and optimizers are found by themselves; the
    loop may stand in a function of yours, or in a library that it calls.

    Returns:
        The trace of these steps.

    Raises:
        AssertionError: If no step was seen, or the diagnosis has a finding that is certain. What
            the loop raises itself goes on as it is.
    """
    __tracebackhide__ = True  # pytest shows where the test calls it
    return checked(columns_of(sys.__stdout__), loop, *args, **kwargs)


def checked(
    width: int | None, loop: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
) -> Trace:
    """The same, where a failure is shown in so many columns; None for any number."""
    __tracebackhide__ = True
    watching = Watching(3, report=False)
    watching.begin()
    try:
        loop(*args, **kwargs)
    except BaseException as error:
        watching.end(error)
        raise
    watching.end(over=True)
    routine = watching.routine
    room = None if width is None else max(width - MARGIN, 1)
    name = getattr(loop, "__name__", repr(loop))
    if any(finding.certain for finding in watching.findings):
        raise AssertionError(f"{name}: {watching.text(room)}")
    if routine is None or not watching.steps:
        raise AssertionError(f"{name} does not train: {watching.text(room)}")
    return routine
