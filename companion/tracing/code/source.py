"""From a running frame to the statements a person wrote: which lines belong together."""

from __future__ import annotations

import ast
import io
import linecache
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import decode_source
from types import FrameType

from companion.isolation.wall import is_ours
from companion.records.parse import parse


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, or the header of a compound one (`for`, `if`, `with`, ...).

    Attributes:
        first: Number of its first line, counted from 1.
        last: Number of its last line.
        text: Its lines as written, without common indentation; "" where the source is not known.
        indent: How many columns that indentation had.
        end: Number of the last line of what it is the header of; its own for a simple statement.
    """

    first: int
    last: int
    text: str = ""
    indent: int = 0
    end: int = 0

    def spans(self, line: int) -> bool:
        """Whether a line is one of its own."""
        return self.first <= line <= self.last

    @property
    def is_with(self) -> bool:
        """Whether it is the header of a `with`."""
        return self.text.startswith(("with ", "with(", "async with"))

    def goes_on_in(self, statement: Statement) -> bool:
        """Whether another one stands in the body of what this is the header of."""
        return self.last < statement.first <= self.end


_TEXTS: dict[str, list[str]] = {}


def remember(filename: str, text: str) -> None:
    """Keep the source of what can be read only once: a pipe, standard input."""
    _TEXTS[filename] = _lines(text)


class Source:
    """The source of one frame's code, cut into statements.

    Read from its file, or from `linecache`, which knows notebook cells and doctests. Where
    there is no source (`exec` of a string), every line is a statement without text.

    Attributes:
        name: The file's name, or "Cell In[3]" for a notebook cell.
    """

    def __init__(self, frame: FrameType) -> None:
        filename = frame.f_code.co_filename
        self.name = _cell_name(filename) or filename
        lines = _TEXTS.get(filename) or _read(filename) or _cached(filename, frame)
        self._by_line = dict(_by_line(tuple(lines)))

    def at(self, line: int) -> Statement:
        """The statement that `line` belongs to; the same object for each of its lines."""
        statement = self._by_line.get(line)
        if statement is None:
            statement = self._by_line[line] = Statement(line, line)
        return statement


def lines_of(filename: str) -> list[str]:
    """The lines of a file or cell, where no frame of it need run."""
    lines = _TEXTS.get(filename) or _read(filename)
    cached = linecache.cache.get(filename)
    return lines or (cached[2] if cached is not None and len(cached) > 2 else [])


def name_of(filename: str) -> str:
    """The file's name, or "Cell In[3]" for a notebook cell."""
    return _cell_name(filename) or filename


def _lines(text: str) -> list[str]:
    """Lines as Python counts them: a form feed ends none."""
    return io.StringIO(text).readlines()


def _read(filename: str) -> list[str]:
    """The lines of a file, as they are now; none where it cannot be read."""
    try:
        with open(filename, "rb") as file:
            return _lines(decode_source(file.read()))
    except (OSError, ValueError, SyntaxError, LookupError) as error:
        if not is_ours(error):
            raise
        return []


def _cached(filename: str, frame: FrameType) -> list[str]:
    """What `linecache` knows: cells, doctests, files in a zip."""
    linecache.checkcache(filename)
    return linecache.getlines(filename, frame.f_globals)


@lru_cache(maxsize=8)
def _by_line(lines: tuple[str, ...]) -> dict[int, Statement]:
    """The statement of each line; a trace for each epoch cuts the same text."""
    return {
        number: statement
        for statement in _statements(lines)
        for number in range(statement.first, statement.last + 1)
    }


def _statements(lines: Sequence[str]) -> Iterator[Statement]:
    try:
        tree = parse("".join(lines))
    except SyntaxError:
        spans = [(number, number, number) for number in range(1, len(lines) + 1)]
    else:
        spans = _spans(tree)
    for first, last, end in spans:
        chosen = [line.rstrip() for line in lines[first - 1 : last]]
        while len(chosen) > 1 and (not chosen[-1] or chosen[-1].lstrip().startswith("#")):
            chosen.pop()  # comments between a header and its body
        margin = chosen[0][: len(chosen[0]) - len(chosen[0].lstrip())]
        # A line of a long string may begin left of its statement.
        text = "\n".join(line.removeprefix(margin) for line in chosen)
        yield Statement(first, last, text, len(margin.expandtabs()), end)


def _spans(tree: ast.AST) -> list[tuple[int, int, int]]:
    """First and last line of every statement or header, and the last of its body.

    Those that share a line are one.
    """
    spans = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.ExceptHandler)):
            first, last = _first_line(node), node.end_lineno or node.lineno
        elif isinstance(node, ast.match_case):
            first, last = node.pattern.lineno, node.body[-1].end_lineno or node.pattern.lineno
        else:
            continue
        body = getattr(node, "body", None) or getattr(node, "cases", None)
        if body:
            start = body[0].pattern.lineno if isinstance(node, ast.Match) else _first_line(body[0])
            last = start - 1 if start > first else body[-1].end_lineno or last
        end = body[-1].end_lineno if body and isinstance(body[-1], ast.stmt) else None
        spans.append((first, last, end or last))
    merged: list[tuple[int, int, int]] = []
    for first, last, end in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1]), max(end, merged[-1][2])
        else:
            merged.append((first, last, end))
    return merged


def _first_line(node: ast.stmt | ast.ExceptHandler) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _cell_name(filename: str) -> str | None:
    """IPython's own name for one of its cells; None for anything else."""
    if "IPython" not in sys.modules:
        return None
    shell = getattr(sys.modules["IPython"], "get_ipython", lambda: None)()
    name = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(filename)
    return " ".join(name) if type(name) is tuple else None
