"""Clean virtual environments for tests, without downloading PyTorch once more.

What an environment shall hold is linked from the one that runs the tests, file by file, as if it
had been installed there. pip replaces a file and never writes into one, so nothing that is done in
the new environment reaches the old one. (Links to folders would let it through.) `uv pip install
--offline` was tried: it takes from its own cache alone, which is empty where pip has installed.
"""

from __future__ import annotations

import os
import shutil
import venv
from collections.abc import Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests import ROOT
from tests.package import running
from tests.package.running import NOTHING, Ran

# What would lead back into our own environment, or change how a kernel behaves.
OURS = ("PYTHONPATH", "VIRTUAL_ENV", "PIP_FIND_LINKS", "PYTEST_CURRENT_TEST")


def closure(names: list[str]) -> dict[str, Distribution]:
    """These distributions and all they need here."""
    found: dict[str, Distribution] = {}
    waiting, seen = [Requirement(name) for name in names], set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        one = found.setdefault(wanted.name, distribution(wanted.name))
        for needed in map(Requirement, one.requires or []):
            extras = [{"extra": extra} for extra in ("", *wanted.extras)]
            if needed.marker is None or any(map(needed.marker.evaluate, extras)):
                waiting.append(needed)
    return found


def clean(folder: Path, *names: str) -> Path:
    """Make an environment that holds these distributions, pip, and nothing else; its Python.

    pip is linked as they are: to unpack it anew takes longer than all else here.
    """
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    target = Path(run(python, "-c", code).well().out.strip())
    for one in closure([*names, "pip"]).values():
        files = [Path(str(path)) for path in one.files or []]
        for path in files:
            if path.parts[0] not in ("..", "__pycache__"):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                link(Path(str(one.locate_file(path))), target / path)
    return python


def link(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no such thing."""
    if target.exists() or not source.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def run(
    python: Path, *arguments: str, folder: Path = ROOT, variables: Mapping[str, str] = NOTHING
) -> Ran:
    """Run that Python, without what the tests' own environment would tell it."""
    kept = {k: v for k, v in os.environ.items() if k not in OURS}
    return running.run(folder, python, *arguments, variables=variables, among=kept)
