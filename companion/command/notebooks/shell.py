"""Cells with IPython: it makes Python of them, and runs their magics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import ModuleType, SimpleNamespace
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


class Shelled:
    """Hands a cell to IPython, which makes Python of it."""

    def __init__(self, main: ModuleType, run_part: Callable[[str], None]) -> None:
        quiet = Config()
        quiet.HistoryManager.enabled = False  # no file of the user's is written
        self._shell = _Shell.instance(user_module=main, config=quiet)
        self._shell.run_part = run_part
        self._count = 0

    def enter(self, text: str) -> None:
        """Number the cell as a kernel does, which counts no empty one, and put it into `In`."""
        if not text.strip():
            return
        self._count += 1
        shell = self._shell
        shell.execution_count = self._count
        # Since IPython 9 it is the next cell's while a cell runs; before, this one's.
        shell.execution_count += self._count - shell.displayhook.prompt_count
        typed: str = shell.transform_cell(text)  # type: ignore[no-untyped-call]
        history: Any = shell.history_manager
        history.store_inputs(self._count, typed, text)

    def around(self) -> AbstractContextManager[Any]:
        """Its builtins, such as `get_ipython` and `display`."""
        stack = ExitStack()
        stack.enter_context(self._shell.builtin_trap)
        stack.enter_context(self._shell.display_trap)
        return stack

    def python(self, text: str, number: int) -> str:
        """The cell as Python; what would only time it, or catch what it prints, is left out."""
        first, _, rest = text.lstrip("\n").partition("\n")
        if first.startswith("%%time") and rest.strip():
            blank = text[: text.index(first)].count("\n") + 1
            text = "#\n" * blank + rest
        python: str = self._shell.transform_cell(text)  # type: ignore[no-untyped-call]
        return python


class _Shell(InteractiveShell):
    run_part: Callable[[str], None]

    def enable_gui(self, gui: object = None) -> None:
        """No window is opened."""

    def run_cell(self, raw_cell: str, *_: Any, **__: Any) -> Any:
        """What a magic runs of the cell that it stands in."""
        self.run_part(raw_cell)
        return SimpleNamespace(success=True, result=None, raise_error=lambda: None)
