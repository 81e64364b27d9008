"""How the tests build the book: as `make book` does, in a fork of a process that has Sphinx."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests import ROOT
from tests.package.running import Ran, forks

SPHINX = (
    *("jupyter_book.cli.main", "jupyter_book.sphinx", "sphinx.cmd.build", "furo"),
    *("myst_nb", "myst_nb.sphinx_ext", "myst_nb.sphinx_"),
)
BUILD = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"


def build(
    source: Path, target: Path, root: Path = ROOT, variables: Mapping[str, str] | None = None
) -> Ran:
    """Build `source` into `target`/_build/html, as `root` configures it."""
    options = ["--config", str(root / "_config.yml"), "--path-output", str(target)]
    return forks(*SPHINX).run(
        root,
        *(BUILD, "build", str(source), *options, "-W", "-n", "--keep-going", "-q"),
        how="code",
        variables=variables or {},
        told=target,
    )


def small_book(folder: Path, text: str) -> Path:
    """The source of a book of one page, with the theme of the course."""
    book = folder / "book"
    for name in "_static", "_templates", "_ext":
        shutil.copytree(ROOT / "book" / name, book / name)
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (book / "index.md").write_text(f"# Title\n\n{text}")
    return book
