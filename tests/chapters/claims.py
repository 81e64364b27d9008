"""The sentences of chapters that a run stands for: where they are registered, and looked up."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import nbformat
import pytest

from tests import ROOT

Run = Callable[[], None]


class Claims:
    """What one module of tests checks: each run, and the sentences that it stands for."""

    def __init__(self) -> None:
        self.checked: dict[Run, list[tuple[str, str]]] = {}

    def said(self, chapter: str, *sentences: str) -> Callable[[Run], Run]:
        """Register what a run stands for."""

        def register(run: Run) -> Run:
            self.checked.setdefault(run, []).extend((chapter, sentence) for sentence in sentences)
            return run

        return register

    def each(self) -> pytest.MarkDecorator:
        """One test for each run that was registered before."""
        return pytest.mark.parametrize("run", self.checked, ids=lambda run: run.__name__)

    def hold(self, run: Run) -> None:
        """The sentences still stand in their chapters, and the run says that they are so."""
        for chapter, sentence in self.checked[run]:
            stands(chapter, sentence)
        run()


def stands(chapter: str, *sentences: str) -> None:
    """These are sentences of the chapter, still."""
    for sentence in sentences:
        assert sentence in prose(chapter), "rewritten: is it still so?"


@cache
def prose(chapter: str) -> str:
    """The text cells of a chapter, each run of white space one space."""
    (path,) = ROOT.glob(f"book/{chapter}*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    return re.sub(r"\s+", " ", " ".join(c.source for c in cells if c.cell_type == "markdown"))
