"""What Python says of a script that ends badly: a traceback, or the words of its `sys.exit()`.

Python says it when all is over. One of several processes waits for the others before that, and the
launcher may kill it meanwhile, as it does where another one has failed: there it is said at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from traceback import print_exception
from types import TracebackType
from typing import Any

from companion.command.starting import run
from companion.isolation.objects import is_a

_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # the whole package
code_of = SystemExit.__dict__["code"].__get__  # a subclass may make a property of it


class LastWords:
    """What Python will say of an exception that has ended a script.

    Args:
        error: It.
        in_cells: Whether the script is a notebook.

    Attributes:
        are_said: Whether they have been said already.
    """

    def __init__(self, error: BaseException, *, in_cells: bool = False) -> None:
        self._error = error
        self._hook = getattr(sys, "excepthook", None)  # the script may have deleted it
        if in_cells and self._hook is sys.__excepthook__:
            self._hook = print_exception  # which knows the lines of cells
        self.are_said = False

    def say(self) -> None:
        """Say them now, as Python will."""
        error = self._error
        with contextlib.suppress(Exception):  # then Python says what is wrong, in the end
            if not isinstance(error, SystemExit):
                if self._hook is not None:
                    self._show(type(error), error, error.__traceback__)
                    self.are_said = True
            elif self._has_words and sys.stderr is not None:
                print(code_of(error), file=sys.stderr)
                self.are_said = True

    @property
    def _has_words(self) -> bool:
        code = code_of(self._error)
        return code is not None and not is_a(code, int)

    def leave(self) -> None:
        """Leave a traceback to Python, without the frames above the script's own."""
        if self._hook is not None:
            sys.excepthook = self._show

    def _show(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        inner = _of_the_script(traceback)
        BaseException.with_traceback(error, inner)
        sys.last_traceback = inner
        hook: Any = self._hook
        sys.excepthook = hook
        if not self.are_said:
            hook(kind, error, inner)


def _of_the_script(traceback: TracebackType | None) -> TracebackType | None:
    """Where the script's own frames begin."""
    inner = traceback
    while inner is not None and inner.tb_frame.f_code is not run.__code__:
        inner = inner.tb_next
    if inner is None:
        inner = traceback
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(_HERE):
        inner = inner.tb_next
    return inner
