"""Where the command says what it says, and how that is shown there."""

from __future__ import annotations

import os
from typing import Any

from companion.isolation.wall import is_ours
from companion.records.visible import encodable
from companion.render.paint import coloured, plain
from companion.render.terminal import columns_of, wants_colour


class Out:
    """Where a stream goes, by a number of our own: the script may close it, and use its number.

    What it shows is asked before the script runs, which may change the environment.
    """

    def __init__(self, stream: Any) -> None:
        self.columns = columns_of(stream)
        self.paint = coloured if wants_colour(stream) else plain
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None)
        try:
            self._number: int | None = os.dup(stream.fileno())
        except (AttributeError, OSError, ValueError):  # none, closed, or no file
            self._number = None

    def say(self, words: str) -> None:
        """Write a line; where it cannot be written, nobody reads it."""
        line = encodable(f"{words}\n", self._encoding)
        try:
            if self._number is not None:
                raw = line.replace("\n", os.linesep).encode(self._encoding or "utf-8", "replace")
                while raw:
                    raw = raw[os.write(self._number, raw) :]
            elif self._stream is not None:
                self._stream.write(line)
        except Exception as error:
            if not is_ours(error):
                raise
