"""Statements that only name something: `loss.backward`, without parentheses."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from companion.isolation.wall import is_ours
from companion.records.parse import parse

_NAMED = re.compile(r"(?:^|;)\s*[^\W\d]\w*(?:\.[^\W\d]\w*)+\s*(?:$|[;#])")


@lru_cache(maxsize=4096)
def bare(text: str) -> tuple[str, ...]:
    """The attributes that a statement names without doing anything with them.

    Example:
        >>> bare("loss.backward  # and on"), bare("loss.backward()"), bare("step = opt.step")
        (('loss.backward',), (), ())
    """
    if not _NAMED.search(text):
        return ()
    try:
        body = parse(text).body
    except SyntaxError:
        return ()
    except (ValueError, RecursionError, MemoryError) as error:
        if not is_ours(error):
            raise
        return ()
    return tuple(
        ast.unparse(one.value)
        for one in body
        if isinstance(one, ast.Expr) and isinstance(one.value, ast.Attribute)
    )
