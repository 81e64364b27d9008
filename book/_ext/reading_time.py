"""Sphinx extension: how long a chapter takes to read, counted and not guessed.

Words at 220 a minute, a little slower than the 238 that M. Brysbaert finds for English non-fiction
(Journal of Memory and Language 109, 2019); the rest are assumptions: 4 seconds for a line of code
that the page has not shown before, 2 for a line of output. Exercises and all that is folded are
left out.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

WORDS = 220  # a minute
LINE, OUTPUT = 4, 2  # seconds
UNREAD = {"remove-cell", "hide-input", "hide-cell", "exercise", "check"}


def minutes(notebook: dict[str, Any]) -> int:
    """Minutes for the text of a notebook, at least one.

    >>> text = {"cell_type": "markdown", "metadata": {}, "source": "word " * 440}
    >>> code = {"cell_type": "code", "metadata": {}, "source": "a = 1\\n" * 9, "outputs": []}
    >>> minutes({"cells": [text]}), minutes({"cells": [text, code] + [code] * 9})
    (2, 2)
    """
    words, code, outputs = 0, set(), 0
    for cell in notebook["cells"]:
        tags = {*cell["metadata"].get("tags", [])}
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            seen = re.sub(r"<details>.*?</details>|\]\([^)]*\)", "", source, flags=re.S)
            words += len(seen.split())
        elif not tags & UNREAD:
            code |= {line.strip() for line in source.splitlines() if line.strip()}
            outputs += sum(map(_lines, cell["outputs"])) * ("hide-output" not in tags)
    return max(1, round(words / WORDS + (LINE * len(code) + OUTPUT * outputs) / 60))


def _lines(output: dict[str, Any]) -> int:
    text = output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue")
    return len("".join(text or "").splitlines())


def tell(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the template the minutes of a notebook's page."""
    path = Path(app.srcdir, f"{page}.ipynb")
    if path.exists():
        context["minutes"] = minutes(json.loads(path.read_text(encoding="utf-8")))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", tell)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
