"""What a notebook's file holds: its code cells, as they were typed."""

from __future__ import annotations

import json
import os
from typing import Any


def is_notebook(script: str) -> bool:
    """Whether a script is a notebook, by its name."""
    return script.endswith(".ipynb") and not os.path.isdir(script)


def code_cells(path: str) -> list[str]:
    """The texts of the code cells, in their order.

    Raises:
        ValueError: If the file is no notebook whose cells are Python; the message names the cure.
    """
    name = os.path.basename(path)
    try:
        with open(path, encoding="utf-8") as file:
            whole: Any = json.load(file)
    except ValueError as error:
        raise ValueError(f"{name} is no notebook: {error}; open and save it in Jupyter") from None
    cells = whole.get("cells") if isinstance(whole, dict) else None
    if not isinstance(cells, list):
        raise ValueError(
            f"{name} has no list of cells, as notebooks have since version 4; "
            f"jupyter nbconvert --to notebook --inplace {name} makes one of an older version"
        )
    language = _inner(whole, "metadata", "kernelspec", "language") or "python"
    if language != "python":
        raise ValueError(f"{name} is written in {language!r}; companion runs Python")
    code = [one for one in cells if isinstance(one, dict) and one.get("cell_type") == "code"]
    return [_text(one.get("source", "")) for one in code]


def _text(source: Any) -> str:
    """A cell's text may be one, or a list of its lines."""
    return source if isinstance(source, str) else "".join(map(str, source))


def _inner(whole: Any, *names: str) -> Any:
    for name in names:
        whole = whole.get(name) if isinstance(whole, dict) else None
    return whole
