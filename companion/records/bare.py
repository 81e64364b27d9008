"""Statements that only name something: `loss.backward`, without parentheses."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from companion.records.parse import tree_of

_NAMED = re.compile(r"(?:^|;)\s*[^\W\d]\w*(?:\.[^\W\d]\w*)+\s*(?:$|[;#])|\)\.backward\s*(?:$|[;#])")


@lru_cache(maxsize=4096)
def bare(text: str) -> tuple[str, ...]:
    """The attributes that a statement names without doing anything with them.

    Example:
        >>> bare("loss.backward  # and on"), bare("loss.backward()"), bare("step = opt.step")
        (('loss.backward',), (), ())
    """
    if not _NAMED.search(text):
        return ()
    tree = tree_of(text)
    return tuple(
        ast.unparse(one.value)
        for one in ([] if tree is None else tree.body)
        if isinstance(one, ast.Expr) and isinstance(one.value, ast.Attribute)
    )
