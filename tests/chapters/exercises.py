"""The exercises of a chapter: their cells, and what the chapter itself gives as the answer."""

from __future__ import annotations

import re
from typing import Any


def tagged(notebook: Any, tag: str) -> list[Any]:
    """The cells that have this tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def solutions(notebook: Any) -> list[str]:
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    hidden = re.findall(
        r"<details>\n<summary>Solution (\d)</summary>\n(.*?)\n</details>", prose, re.S
    )
    assert [int(number) for number, _ in hidden] == list(range(1, len(hidden) + 1))
    return ["\n".join(re.findall(r"```python\n(.*?)```", text, re.S)) for _, text in hidden]
