"""The cells of a notebook that runs as a script: each is a file of its own, beneath it."""

from __future__ import annotations

import os
import re

_CELL = re.compile(r"(.*\.ipynb)[/\\](cell \d+)", re.DOTALL)


def cell_name(notebook: str, number: int) -> str:
    """What the code of a cell is called; its number is that of the code cells, from 1."""
    return f"{notebook}{os.sep}cell {number}"


def cell_of(file: str) -> tuple[str, str] | None:
    """The notebook and the cell that a record's file is; None where it is no cell of that kind.

    Example:
        >>> cell_of("/home/me/train.ipynb/cell 3")
        ('/home/me/train.ipynb', 'cell 3')
        >>> cell_of("/home/me/train.py")
    """
    found = _CELL.fullmatch(file)
    return None if found is None else (found[1], found[2])
