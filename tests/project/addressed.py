"""A copy of all that can name the address of the repository, and the command that sets it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests import ROOT
from tests.package.running import Ran, python

TOOL = "tools/set_address.py"
# No owner can have this name there: it has a dot.
URL = "https://github.com/no.owner/no-name"
SITE = "https://example.org/course/"
PLACES = ["_config.yml", "pyproject.toml", "README.md", "CITATION.cff", "book/index.md"]


def copy(folder: Path) -> Path:
    """A copy of all that can name the address, as committed."""
    folder.mkdir(exist_ok=True)
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in "book", "tools":
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in [*PLACES, "Makefile"]:
        shutil.copy(ROOT / path, folder / path)
    return folder


def address(root: Path, *arguments: str) -> Ran:
    """Run the tool as a fresh machine can: -I -S leaves only the standard library."""
    return python(root, "-I", "-S", TOOL, *arguments)


def without(folder: Path) -> Path:
    """The same, and the address taken out: whoever owns the repository may have committed one."""
    copy(folder)
    address(folder, "--url", "none", "--site", "none").well()
    return folder
