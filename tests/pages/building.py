"""How the tests build the book: as `make book` does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import ROOT


def build(
    source: Path, target: Path, root: Path = ROOT, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Build `source` into `target`/_build/html, as `root` configures it."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    options = ["--config", str(root / "_config.yml"), "--path-output", str(target)]
    return subprocess.run(
        [*command, *options, "-W", "-n", "--keep-going", "-q"],
        cwd=root,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def small_book(folder: Path, text: str) -> Path:
    """The source of a book of one page, with the theme of the course."""
    book = folder / "book"
    for name in "_static", "_templates", "_ext":
        shutil.copytree(ROOT / "book" / name, book / name)
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (book / "index.md").write_text(f"# Title\n\n{text}")
    return book
