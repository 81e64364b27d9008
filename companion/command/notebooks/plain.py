"""Cells without IPython: magics and shell commands are left out, and that is said."""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

from companion.records.parse import parse

# Around a cell these only measure it, or catch what it prints.
HARMLESS = ("%%time", "%%timeit", "%%capture")
_MAGIC = re.compile(r"\s*([%!?]|[\w.]+\?{1,2}\s*$|[\w, ]+=\s*[%!])")


class Plain:
    """Leaves out of a cell what only IPython knows."""

    def __init__(self, main: ModuleType) -> None:
        main.__dict__.setdefault("display", print)

    def enter(self, text: str) -> None:
        """Nothing: only IPython keeps what was typed, and numbers it."""

    def around(self) -> AbstractContextManager[Any]:
        """Nothing."""
        return nullcontext()

    def python(self, text: str, number: int) -> str:
        """The cell without its magics: in their place stands `pass`."""
        first, _, rest = text.lstrip("\n").partition("\n")
        if first.startswith(HARMLESS):
            text = f"{_blank(text, first)}\n{rest}"
        elif first.startswith("%%"):
            _left_out(number, 1, first)
            return ""
        lines = text.split("\n")
        for _ in lines:
            try:
                parse("\n".join(lines))
            except SyntaxError as error:
                at = (error.lineno or 0) - 1
                if not 0 <= at < len(lines) or not _MAGIC.match(lines[at]):
                    break  # a mistake in the cell: Python will say so
                _left_out(number, at + 1, lines[at])
                goes_on, lines[at] = lines[at].endswith("\\"), _passed(lines[at])
                while goes_on and at + 1 < len(lines):
                    at += 1
                    goes_on, lines[at] = lines[at].endswith("\\"), ""
            else:
                break
        return "\n".join(lines)


def _passed(line: str) -> str:
    return f"{line[: len(line) - len(line.lstrip())]}pass"


def _blank(text: str, first: str) -> str:
    return text[: text.index(first)] + "#"


def _left_out(number: int, line: int, what: str) -> None:
    words = f"cell {number}, line {line}: left out, for it needs IPython: {what.strip()}"
    print(f"companion: {words}", file=sys.stderr)
