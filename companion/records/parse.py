"""`ast.parse`, unheard: without the warnings that Python gave when it compiled the same text."""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Iterator

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


# Beyond these a statement is not read: code that a machine wrote, or that is meant to do harm.
# CPython's own parser and what walks its trees are recursive, and before 3.11 could crash.
LONGEST = 10_000  # characters
DEEPEST = 100  # levels of its tree


def tree_of(text: str) -> ast.Module | None:
    r"""The tree of a statement as it was recorded; of a header, without what it heads; or None.

    Each time a new one, which may be changed.

    Example:
        >>> ast.unparse(tree_of("for x in batches:  # all of them"))
        'for x in batches:\n    pass'
    """
    if len(text) > LONGEST:
        return None
    for whole in (text, f"{text}\n  pass"):  # "for x in y:" alone is no statement yet
        try:
            found = parse(whole)
        except SyntaxError:
            continue
        except (ValueError, RecursionError, MemoryError) as error:
            if not is_ours(error):
                raise
            return None  # null characters; too many brackets
        return found if _is_flat(found) else None
    return None


def _is_flat(whole: ast.AST) -> bool:
    level = [whole]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


def nodes_of(text: str) -> Iterator[ast.AST]:
    """All nodes of a statement's tree, the whole first."""
    whole = tree_of(text)
    return iter(()) if whole is None else ast.walk(whole)


def dotted(node: ast.AST) -> str | None:
    """Such as "loss" or "self.total"; None for anything that would have to be computed."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return None if owner is None else f"{owner}.{node.attr}"
    return None


def unparsed(node: ast.AST) -> str | None:
    """A node as text; None for a number with too many digits to be written."""
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError) as error:
        if not is_ours(error):
            raise
        return None
