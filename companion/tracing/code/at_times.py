"""Whether a function cuts the graph only under a condition: while a part warms up, say."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import lru_cache
from types import CodeType, FrameType

from companion.isolation.libraries import is_in_library
from companion.isolation.wall import is_ours
from companion.records.parse import parse
from companion.tracing.code.source import lines_of

_CUTS = {"detach", "detach_", "data", "no_grad", "set_grad_enabled"}
_MOST = 20  # frames that are gone up through


def is_cut_at_times(frame: FrameType) -> bool:
    """Whether the user's function that calls a module, such as a forward, does so."""
    outer = frame.f_back
    for _ in range(_MOST):
        if outer is None:
            return False
        if not is_in_library(outer.f_code.co_filename):
            return _cuts_at_times(outer.f_code)
        outer = outer.f_back
    return False


@lru_cache(maxsize=256)
def _cuts_at_times(code: CodeType) -> bool:
    lines = lines_of(code.co_filename)[code.co_firstlineno - 1 :]
    try:
        tree = parse(textwrap.dedent("".join(inspect.getblock(lines))))
    except Exception as error:
        if not is_ours(error):
            raise
        return False
    conditions = [n for n in ast.walk(tree) if isinstance(n, (ast.If, ast.IfExp))]
    return any(
        isinstance(node, ast.Attribute) and node.attr in _CUTS
        for condition in conditions
        for node in ast.walk(condition)
    )
