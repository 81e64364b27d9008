"""`ast.parse`, unheard: without the warnings that Python gave when it compiled the same text."""

from __future__ import annotations

import ast
import threading
import warnings
from functools import lru_cache

from companion.isolation.wall import is_ours

_LOCK = threading.Lock()
_IGNORE = [("ignore", None, Warning, None, 0)]


def parse(text: str) -> ast.Module:
    """The syntax tree of a text; one thread at a time.

    In CPython 3.11 two at once raise SystemError (gh-106905). The parser asks `warnings.filters`
    each time; `warnings.catch_warnings` would make Python forget which warnings it has shown.

    Example:
        >>> ast.dump(parse("x")) == ast.dump(ast.parse("x"))
        True
    """
    with _LOCK:
        filters = warnings.filters
        try:
            warnings.filters = _IGNORE
            return ast.parse(text)
        finally:
            warnings.filters = filters


@lru_cache(maxsize=4096)
def statement(text: str) -> ast.Module | None:
    r"""The tree of a statement as it was recorded, of a header without what it heads; or None.

    Example:
        >>> ast.unparse(statement("for x in batches:  # all of them"))
        'for x in batches:\n    pass'
    """
    for whole in (text, f"{text}\n  pass"):
        try:
            return parse(whole)
        except SyntaxError:
            continue
        except (ValueError, RecursionError, MemoryError) as error:
            if not is_ours(error):
                raise
            return None
    return None
