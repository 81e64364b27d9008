"""The command as it is installed: a file of its own beside Python, which starts in any folder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.package.command.running import LOOP, SETUP
from tests.package.running import ENVIRONMENT, Ran, run, write
from tests.package.sources import chosen

INSTALLED = shutil.which("companion", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(INSTALLED is None, reason="the package runs from its sources")


def companion(folder: Path, *arguments: str) -> Ran:
    """Run the installed command itself."""
    return run(folder, str(INSTALLED), *arguments, variables={**ENVIRONMENT, **chosen()})


def test_it_runs_a_script_and_names_itself(tmp_path: Path) -> None:
    write(tmp_path, SETUP + LOOP)
    ran = companion(tmp_path, "script.py").well()
    assert ran.err.startswith("companion: watched 3 steps, no findings\nTrace of Sequential, ")
    assert len(ran.out.splitlines()) == 6
    ran = companion(tmp_path, "skript.py")
    assert ran.err == "companion: no such script: 'skript.py'; did you mean script.py?\n"
    assert ran.code == 2


def test_it_runs_a_module_of_this_folder(tmp_path: Path) -> None:
    """As `python -m` does: this folder comes first, and not that of the command."""
    write(tmp_path, "import sys\nprint(sys.path[0])\n" + SETUP + LOOP, "package/train.py")
    ran = companion(tmp_path, "-m", "package.train").well()
    assert ran.out.splitlines()[0] == str(tmp_path.resolve())
    assert ran.err.startswith("companion: watched 3 steps, no findings\nTrace of Sequential, ")
