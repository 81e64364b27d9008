"""How the chapters are executed, and how the tests are dealt out to two workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chapters.execution import Chapter


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A chapter is executed by nbval, in a way of its own."""
    if file_path.suffix != ".ipynb" or file_path.parent.name != "book":
        return None
    return Chapter.from_parent(parent, path=file_path)  # type: ignore[no-any-return]
