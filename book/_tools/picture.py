"""Write the README's picture: the figure that chapter 3 computed. Part of `make notebooks`."""

from __future__ import annotations

from pathlib import Path

import nbformat

BOOK = Path(__file__).parents[1]
CHAPTER = BOOK / "03_computing_gradients.ipynb"
PICTURE = BOOK / "_static" / "gradients.svg"
TAG = "readme-picture"


def picture() -> str:
    """The SVG text of the cell that is tagged for the README."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    cell = next(cell for cell in cells if TAG in cell.metadata.get("tags", []))
    svg: str = cell.outputs[-1].data["image/svg+xml"]
    return svg


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(f"{PICTURE.relative_to(BOOK.parent)} written")
