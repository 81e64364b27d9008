"""Sphinx extension: search weighs what it finds by `scorer.js`, which stands beside this file.

As a setting the file's path would be relative to the folder in which the book happens to be built.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def set_scorer(app: Sphinx, config: Config) -> None:
    """Name the file."""
    config.html_search_scorer = str(Path(__file__).with_name("scorer.js"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", set_scorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
