"""Types: a user's script, with every public name in it, is right to the strictest checkers.

`make test` checks that script with all others, strictly; here it is checked as a user would, with
nothing configured, and by pyright as well.
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
from pathlib import Path

import pytest

import companion
from tests.package import every_name
from tests.package.running import forks, python, run

SCRIPT = Path(every_name.__file__)
SOURCE = SCRIPT.read_text(encoding="utf-8")
PACKAGE = Path(companion.__file__).parent
PYRIGHT = "pyright@1.1.414"


def test_it_uses_every_public_name(tmp_path: Path) -> None:
    """And runs: what checkers are told of the names is so."""
    used = {node.id for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Name)}
    assert {*companion.__all__} - used == set()
    ran = forks().run(tmp_path, str(SCRIPT)).well()
    assert ran.out.splitlines()[1].startswith("step [2.")
    assert (tmp_path / "run.html").exists()


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with that script, and where it finds the package, what an installed one has."""
    shutil.copy(SCRIPT, tmp_path / "train.py")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "site/companion", ignore=ignored)
    return tmp_path


WRONG = """
words: str = step.routine
step("images", "labels")
Trainer().fit(3)
"""


@pytest.mark.weekly
def test_mypy(alone: Path) -> None:
    pytest.importorskip("mypy")
    where = {"MYPYPATH": str(alone / "site")}
    options = [
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
    ]  # as of one that is installed
    python(alone, "-m", "mypy", *options, "train.py", variables=where).well()
    (alone / "train.py").write_text(SOURCE + WRONG, encoding="utf-8")
    said = python(alone, "-m", "mypy", *options, "train.py", variables=where).out
    assert said.count("error: ") == 4, said


@pytest.mark.weekly
def test_pyright(alone: Path) -> None:
    """Fetched by npx, once: it is no package of Python's."""
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("no Node, which pyright runs on")
    settings = {"include": ["train.py"], "typeCheckingMode": "strict", "extraPaths": ["site"]}
    (alone / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [npx, "--yes", PYRIGHT, "--pythonpath", sys.executable]
    run(alone, *command).well()
    (alone / "train.py").write_text(SOURCE + WRONG, encoding="utf-8")
    assert "4 errors" in run(alone, *command).out
