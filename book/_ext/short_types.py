"""Sphinx extension: types on the reference page as short as in the code they come from.

Napoleon spells the type of an attribute with every module in front, and a dataclass shows a
default that is made anew each time as `<factory>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sphinx.application import Sphinx


def shorten_types(
    app: Sphinx, what: str, name: str, obj: object, options: Mapping[str, Any], lines: list[str]
) -> None:
    """`collections.abc.Mapping` in an attribute's type is written `Mapping`, and still a link."""
    for number, line in enumerate(lines):
        if line.startswith(":vartype "):
            lines[number] = re.sub(r"(?<![\w.~])(?=(?:\w+\.)+\w)", "~", line)


def show_defaults(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: Mapping[str, Any],
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None] | None:
    """The only such default in `companion` is an empty dict."""
    if signature is None or "<factory>" not in signature:
        return None
    return signature.replace("<factory>", "{}"), returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", shorten_types, priority=900)  # after Napoleon
    app.connect("autodoc-process-signature", show_defaults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
