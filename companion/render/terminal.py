"""What a stream leads to: how many columns there are, and whether colours are wanted."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


def columns_of(stream: Any) -> int | None:
    """How wide what is written there may be; None where nothing bounds it.

    The variable `COLUMNS` says so of any stream, as it does for other commands; else a terminal
    itself is asked. A file and a pipe have no width, and a notebook bounds nothing. Where `LINES`
    stands beside it nobody has asked for it: Python's readline exports both, "80" and "24" where
    there is no terminal, to all that its process starts.
    """
    if type(stream) is not io.TextIOWrapper:  # a notebook's, or one of a script's own
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) and "LINES" not in os.environ:
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):  # a file or a pipe; closed
        return None


def wants_colour(stream: Any) -> bool:
    """Whether colours are wanted there: asked in the order in which Python asks for its own.

    `NO_COLOR` says no, `FORCE_COLOR` says yes, also of a file; else a terminal has colours, unless
    it is a "dumb" one.
    """
    if type(stream) is not io.TextIOWrapper or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return os.environ["FORCE_COLOR"] != "0"
    if os.environ.get("TERM") == "dumb":
        return False
    if sys.platform == "win32" and not any(map(os.environ.get, ("WT_SESSION", "ANSICON", "TERM"))):
        return False  # an old console shows the codes themselves
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError):
        return False
