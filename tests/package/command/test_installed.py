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
    """As `python -m` does: this folder comes first, and not that of the command.

    And what torch imports for its first optimizer is imported then, no sooner.
    """
    built = SETUP.replace("optimizer = ", "print(path[0], DYNAMO in modules)\noptimizer = ")
    script = "from sys import modules, path\nDYNAMO = 'torch._dynamo'\n" + built
    write(tmp_path, script + "print(DYNAMO in modules)\n" + LOOP, "package/train.py")
    ran = companion(tmp_path, "-m", "package.train").well()
    assert ran.out.splitlines()[:2] == [f"{tmp_path.resolve()} False", "True"]
    assert ran.err.startswith("companion: watched 3 steps, no findings\nTrace of Sequential, ")
