"""`ast.parse` for several threads: in CPython 3.11 two at once raise SystemError (gh-106905)."""

from __future__ import annotations

import ast
import threading

_LOCK = threading.Lock()


def parse(text: str) -> ast.Module:
    """The syntax tree of a text; one thread at a time."""
    with _LOCK:
        return ast.parse(text)
