"""Running a notebook's code cells, in order, as Jupyter would: in its folder, in one namespace.

Each cell is compiled under a name of its own, so that a report says "cell 3, line 2". IPython
reads the magics and shells out, where it is installed; without it what cannot run is left out,
and a line says so. The value of a cell's last expression is shown, as a prompt does.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import linecache
import os
import sys
import tokenize
from contextlib import AbstractContextManager
from types import CodeType, ModuleType
from typing import Any, Protocol

from companion.command.notebooks.cells import code_cells
from companion.command.notebooks.plain import Plain
from companion.records.cells import cell_name
from companion.tracing.code.source import remember


class Reader(Protocol):
    """Makes Python of what stands in a cell."""

    def enter(self, text: str) -> None:
        """A cell is about to run."""

    def python(self, text: str, number: int) -> str:
        """The cell's text as Python, line for line where that can be."""

    def around(self) -> AbstractContextManager[Any]:
        """What must hold while a cell runs."""


def run_cells(path: str, main: ModuleType) -> None:
    """Run them all in the module `main`, up to the first that raises."""
    texts = code_cells(path)
    os.chdir(os.path.dirname(path))
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(path)
    cells = _Cells(path, main)
    cells.reader = _reader(main, cells)
    for number, text in enumerate(texts, 1):
        cells.reader.enter(text)
        cells.run(text, number)


def _reader(main: ModuleType, cells: _Cells) -> Reader:
    try:
        from companion.command.notebooks.shell import Shelled
    except ImportError:  # IPython is not there, or is an old one
        return Plain(main)
    return Shelled(main, cells.run_part)


class _Cells:
    reader: Reader

    def __init__(self, path: str, main: ModuleType) -> None:
        self._path, self._main = path, main
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number, self._text = 0, ""

    def run(self, text: str, number: int) -> None:
        """Run a cell."""
        self._number, self._text = number, text
        name = cell_name(self._path, number)
        python = self.reader.python(text, number)
        remember(name, python)
        lines = python.splitlines(keepends=True)
        linecache.cache[name] = len(python), None, lines, name  # for tracebacks, and inspect
        with self.reader.around():
            for code in _compiled(python, name):
                self._run(code)

    def run_part(self, text: str) -> None:
        """Run what a magic hands back of the cell that runs: its last lines, at their place."""
        above = self._text.count("\n") - text.count("\n") if self._text.endswith(text) else 0
        self.run("#\n" * above + text, self._number)

    def _run(self, code: CodeType) -> None:
        names = self._main.__dict__
        if not code.co_flags & inspect.CO_COROUTINE:
            exec(code, names)
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(eval(code, names))


def _compiled(python: str, name: str) -> list[CodeType]:
    """The cell, and its last expression apart, which is to be shown."""
    tree: Any = compile(python, name, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    last: list[ast.stmt] = []
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not _is_silenced(python):
        last = [tree.body.pop()]
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = [compile(tree, name, "exec", flags, dont_inherit=True)] if tree.body else []
    shown = ast.Interactive(last)
    return [*code, *([compile(shown, name, "single", flags, dont_inherit=True)] if last else [])]


def _is_silenced(python: str) -> bool:
    """Whether a cell's code ends with a semicolon: nothing is shown then."""
    tokens = tokenize.generate_tokens(io.StringIO(python).readline)
    code = [one.string for one in tokens if one.type not in _NO_CODE]
    return code[-1:] == [";"]


_NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)
