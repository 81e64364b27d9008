"""Sentences on stderr, in the width and colours of the terminal; what was said is kept."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable

from companion.command.out import Out
from companion.isolation.wall import is_ours
from companion.render.columns import wrapped
from companion.render.paint import unpainted


class Saying:
    """Says sentences, each after the command's name.

    Args:
        out: Where they go.
    """

    _name = "companion"

    def __init__(self, out: Out) -> None:
        self._out = out
        self._said: list[str] = []

    def _say(self, *sentences: str, below: str | None = None) -> None:
        """Sentences, each for itself; below the last one stands what is laid out already."""
        self._flush()
        out, mine = self._out, f"{self._name}:"
        for at, words in enumerate(sentences, 1):
            lines = "\n".join(wrapped(f"{mine} {words}", out.columns))
            whole = out.paint("title", mine) + lines[len(mine) :]
            whole = f"{whole}\n{below}" if below and at == len(sentences) else whole
            self._said.append(unpainted(whole))
            out.say(whole)

    def _flush(self) -> None:
        """Let what the script has printed come before what we say."""
        try:
            if type(sys.stdout) is io.TextIOWrapper:  # another one is the script's own
                sys.stdout.flush()
        except Exception as error:  # closed, or no file at all
            if not is_ours(error):
                raise

    def _say_each(self, sentences: Iterable[str]) -> None:
        """Say these; what stands in further lines is laid out already."""
        for words in sentences:
            first, _, below = words.partition("\n")
            self._say(first, below=below)
