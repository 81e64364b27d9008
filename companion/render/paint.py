"""Colours for a terminal: a few of its escape codes around words, and nothing else.

The words stay the same: what is painted, less the codes, is the plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Paint = Callable[[str, str], str]  # of what kind the words are, and the words

# From a terminal's own sixteen colours, which its owner can read on any ground.
_CODES = {
    "title": "1",
    "head": "2",
    "line": "2",
    "gradients": "36",
    "parameters": "35",
    "certain": "1;31",
    "possible": "1;33",
    "raised": "31",
    "cure": "32",
}


def plain(kind: str, words: str) -> str:
    """The words as they are."""
    return words


def coloured(kind: str, words: str) -> str:
    r"""The words between escape codes, if their kind has a colour.

    Example:
        >>> coloured("cure", "optimizer.zero_grad()"), coloured("code", "pass")
        ('\x1b[32moptimizer.zero_grad()\x1b[0m', 'pass')
    """
    code = _CODES.get(kind)
    return words if code is None or not words.strip() else f"\x1b[{code}m{words}\x1b[0m"


def unpainted(text: str) -> str:
    """The words without colours.

    Example:
        >>> unpainted(coloured("cure", "pass"))
        'pass'
    """
    return _PAINT.sub("", text)


_PAINT = re.compile("\x1b\\[[0-9;]*m")
