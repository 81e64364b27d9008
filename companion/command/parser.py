"""A parser of words that says in a line what is wrong with them, and the cure."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from companion.render.columns import wrapped
from companion.render.terminal import columns_of

_ONE = re.compile(r"argument (\S+): (expected one argument|ignored explicit argument '(.*)')")


class _Help(argparse.HelpFormatter):
    """Broken between words: argparse breaks at hyphens, too, such as those of options."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in self._split_lines(text, width - len(indent)))


class Parser(argparse.ArgumentParser):
    """One that says in a single line what is wrong; in several where a terminal has no room.

    Attributes:
        missing: Says what is wrong where something required is not there.
    """

    missing: Callable[[], str] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, allow_abbrev=False, **options)

    def format_help(self) -> str:
        """As argparse lays it out; the usage, too, where a terminal has no room."""
        lines = super().format_help().splitlines()
        width = columns_of(sys.stdout)
        return "".join(f"{part}\n" for one in lines for part in wrapped(one, width, deeper=4))

    def error(self, message: str) -> NoReturn:
        """Say it, and exit."""
        line = f"{self.prog}: {self._in_words(message)}"
        self.exit(2, "".join(f"{part}\n" for part in wrapped(line, columns_of(sys.stderr))))

    def _in_words(self, message: str) -> str:
        """What argparse says, with the cure where it names none."""
        if message.startswith("the following arguments are required") and self.missing is not None:
            return self.missing()
        found = _ONE.fullmatch(message)
        if found is None:
            return message.removeprefix("argument ")
        option, what, value = found.groups()
        if what.startswith("expected"):
            return f"{option} needs a value: {option} {self.takes().get(option, 'VALUE')}"
        if option == "-m":
            return f"behind -m stands a space: -m {value}"
        return f"{option} takes no value, and here it has got {value!r}"

    def takes(self) -> dict[str, str]:
        """The options that take a value, and what that is called."""
        return {
            option: str(action.metavar)
            for action in self._actions
            for option in action.option_strings
            if action.nargs is None
        }

    def names(self) -> list[str]:
        """Of all options."""
        return sorted(option for action in self._actions for option in action.option_strings)
