"""How much is watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType


@dataclass(frozen=True)
class Options:
    """How much is watched.

    Attributes:
        follows: Whether the lines of a function that a watched line calls are watched too.
        admits: The same, asked at each call: the function's frame, and the frame it is called for.
        ended: Called once, when as much has been watched as was asked for.
        every: One step in so many is watched.
        steps: After so many watched steps nothing is watched any more; None for no end.
        hooks: Whether the follower sees itself when an optimizer steps; else it is told so.
    """

    follows: Callable[[CodeType], bool]
    every: int = 1
    steps: int | None = None
    admits: Callable[[FrameType, FrameType], bool] = lambda frame, caller: True
    ended: Callable[[], None] = lambda: None
    hooks: bool = True
