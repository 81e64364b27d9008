"""Names and code as they can be shown: what a terminal would obey is written out instead.

A trace may come from a stranger, and so may the code that it watched. Printed as they are, an
escape sequence could rewrite the reader's terminal, a line break in a name could forge a line of
the report, and a bidirectional control could show code in another order than it runs in.
"""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    r"""One line of text, every character that is not seen as its escape: what `repr` escapes.

    Spaces of all kinds and tabs stay, and so do quotes and backslashes.

    Example:
        >>> visible("fc\x1b[2J, \u202eevil\n")
        'fc\\x1b[2J, \\u202eevil\\n'
        >>> visible("größer = 'α\\β'")
        "größer = 'α\\β'"
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character == "\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
