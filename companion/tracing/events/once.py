"""A loop over what can be gone through once, inside a loop that comes back to it."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FrameType, GeneratorType
from typing import Any

from torch.utils.data.dataloader import _BaseDataLoaderIter

from companion.records.line import Event
from companion.records.parse import tree_of
from companion.tracing.code.frames import UNKNOWN, local_variables, value_of
from companion.tracing.code.source import Source, Statement
from companion.tracing.place import Place

_ONCE = {
    zip, map, filter, enumerate, reversed, GeneratorType, itertools.islice, itertools.chain,
    type(iter([])), type(iter(())),
}  # fmt: skip
_LEAVES = re.compile(r"\b(break|return|raise|exit|yield|throw|send|del|global|nonlocal|next)\b")
MOST = 400  # lines of a loop that are read


class Once:
    """Tells such loops; each header is looked at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[CodeType, int], Event | None] = {}

    def before(self, place: Place) -> Iterator[Event]:
        """What the header of a loop is about to go through."""
        text = place.current.text
        if not text.startswith("for "):
            return
        key = place.frame.f_code, place.current.first
        if key not in self._known:
            self._known[key] = _event(place.source, place.current, place.frame)
        event = self._known[key]
        if event is not None:
            yield event


def _event(source: Source, header: Statement, frame: FrameType) -> Event | None:
    name = _iterated(header.text)
    value = UNKNOWN if name is None else value_of(name, frame)
    kind = type(value)
    if name is None or not (kind in _ONCE or issubclass(kind, _BaseDataLoaderIter)):
        return None
    if any(_LEAVES.search(source.at(line).text) for line in range(header.first, header.end + 1)):
        return None
    own = _returns(source, header.first, name, frame)
    if own is not None:
        return Event("used up", name, {"kind": kind.__name__} | own)
    code, caller = frame.f_code, frame.f_back
    if name not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] or caller is None:
        return None
    # The function's argument: the loop that comes back may be its caller's.
    source = Source(caller)
    name = next((n for n, one in local_variables(caller).items() if one is value), None)
    if name is None or name not in _names(source.at(caller.f_lineno).text):
        return None
    theirs = _returns(source, caller.f_lineno, name, caller)
    return None if theirs is None else Event("used up", name, {"kind": kind.__name__} | theirs)


def _returns(source: Source, line: int, name: str, frame: FrameType) -> dict[str, int] | None:
    """Which loop comes back to a line with the same variable as it is, and how often it runs."""
    outer = _around(source, source.at(line))
    if outer is None or outer.end - outer.first > MOST:
        return None
    body = {source.at(number) for number in range(outer.first, outer.end + 1)}
    if any(_LEAVES.search(one.text) or _binds(one.text, name) for one in body):
        return None
    times = _passes(outer.text, frame)
    return None if times is None or times < 2 else {"outer": outer.first, "times": times}


def _around(source: Source, inner: Statement) -> Statement | None:
    """The loop that a statement stands in, if nothing but that is around it."""
    for line in range(inner.first - 1, max(0, inner.first - MOST), -1):
        one = source.at(line)
        if one.text and one.indent < inner.indent:
            is_loop = one.text.startswith("for ") and one.end >= inner.last
            return one if is_loop else None
    return None


@lru_cache(maxsize=1024)
def _iterated(text: str) -> str | None:
    """The variable that a `for` goes through, if it is one by itself."""
    tree = tree_of(text)
    loop = tree.body[0] if tree is not None and tree.body else None
    over = loop.iter if isinstance(loop, ast.For) else None
    return over.id if isinstance(over, ast.Name) else None


def _names(text: str) -> set[str]:
    tree = tree_of(text)
    return set() if tree is None else {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def _binds(text: str, name: str) -> bool:
    tree = tree_of(text)
    if tree is None:  # `else:`, `try:`
        return name in text
    return any(
        isinstance(n, ast.Name) and n.id == name and not isinstance(n.ctx, ast.Load)
        for n in ast.walk(tree)
    )


def _passes(text: str, frame: FrameType) -> int | None:
    """How often `for epoch in range(epochs)` comes round, where that can be told."""
    tree = tree_of(text)
    loop = tree.body[0] if tree is not None and tree.body else None
    over = loop.iter if isinstance(loop, ast.For) else None
    if not (isinstance(over, ast.Call) and isinstance(over.func, ast.Name)):
        return None
    if over.func.id != "range" or over.keywords or not 1 <= len(over.args) <= 2:
        return None
    ends: list[Any] = [
        one.value if isinstance(one, ast.Constant) else value_of(ast.unparse(one), frame)
        for one in over.args
        if isinstance(one, (ast.Constant, ast.Name, ast.Attribute))
    ]
    if len(ends) != len(over.args) or any(type(end) is not int for end in ends):
        return None
    return len(range(*ends))
