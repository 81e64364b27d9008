"""Which names the user's code calls: of two that share modules, that one is said to run."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from types import FrameType

from companion.records.parse import dotted, parse
from companion.tracing.code.source import lines_of

IN_A_LOOP, ELSEWHERE, NOWHERE = range(3)


def called(frames: Iterable[FrameType]) -> dict[str, int]:
    """Where the files of these frames call a name, without `self`; in a loop, if they do so there.

    A look at an output's shape stands before the loop.
    """
    found: dict[str, int] = {}
    for filename in {frame.f_code.co_filename for frame in frames}:
        try:
            tree = parse("".join(lines_of(filename)))
        except SyntaxError:
            continue
        for name in _names(tree):
            found.setdefault(name, ELSEWHERE)
        for loop in ast.walk(tree):
            if isinstance(loop, (ast.For, ast.While)):
                found |= dict.fromkeys(_names(loop), IN_A_LOOP)
    return found


def _names(tree: ast.AST) -> set[str]:
    """What is called there: `teacher(x)`, `self.teacher(x)`, `ema.module(x)`."""
    calls = (dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {name.removeprefix("self.") for name in calls if name is not None}
