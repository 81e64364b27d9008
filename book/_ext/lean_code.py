"""Sphinx extension: highlighted code without marks that change nothing.

Pygments wraps every name and every bracket in an element of its own, in the colour that the text
around it has anyway: half the weight of a page full of code, and most of its elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pygments.formatters import HtmlFormatter
from pygments.token import Name, Punctuation, Text, Whitespace, _TokenType
from sphinx.application import Sphinx
from sphinx.highlighting import PygmentsBridge

PLAIN = {Name, Punctuation, Punctuation.Indicator, Whitespace}  # the indicator is YAML's dash

Tokens = Iterable[tuple[_TokenType, str]]


class LeanFormatter(HtmlFormatter[Any]):
    """Sphinx's formatter, for which a plain name is text.

    >>> from pygments import highlight
    >>> from pygments.lexers import PythonLexer
    >>> print(highlight("f(x)", PythonLexer(), LeanFormatter(nowrap=True)), end="")
    f(x)
    """

    def format_unencoded(self, tokensource: Tokens, outfile: Any) -> None:
        """Write the tokens."""
        super().format_unencoded(_plain(tokensource), outfile)

    def get_token_style_defs(self, arg: Any = None) -> list[str]:
        """List the style sheet's rules, without a comment on each."""
        rules: list[str] = super().get_token_style_defs(arg)  # type: ignore[no-untyped-call]
        return [re.sub(r" /\*.*\*/", "", rule) for rule in rules]


def _plain(tokens: Tokens) -> Iterator[tuple[_TokenType, str]]:
    for kind, text in tokens:
        yield (Text if kind in PLAIN else kind), text


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    PygmentsBridge.html_formatter = LeanFormatter
    return {"parallel_read_safe": True, "parallel_write_safe": True}
