"""A notebook opened alone, as on Colab: PyTorch and its neighbours are there, `companion` is not.

The first cell gets the package from the repository's address. Here git is told that this address
is a folder; everything else is what a reader's machine does: pip, git, a build, a kernel.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import CHAPTERS, NAMES, ROOT
from tests.package.running import NOTHING
from tests.package.running import run as any_command
from tests.project.addressed import URL, address, copy, without
from tests.project.environments import clean, run

SOON = "02_parameters_and_grad"
BRANCH = "published"  # not the repository's default
# What Colab has, of all that a chapter imports; and what runs a notebook.
THERE = ["torch", "torchvision", "numpy", "matplotlib", "scikit-learn", "tqdm"]
THERE += ["ipykernel", "nbclient"]
RUN = """\
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("alone.ipynb", as_version=4)
NotebookClient(notebook, timeout=600).execute()
nbformat.write(notebook, "alone.ipynb")
"""


def git(folder: Path, *arguments: str) -> None:
    any_command(folder, "git", *arguments).well()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with what the package is built from."""
    folder = tmp_path_factory.mktemp("repository")
    for name in "pyproject.toml", "README.md", "LICENSE", "pytest_companion.py":
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "companion", folder / "companion", ignore=ignored)
    commit = ["-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", "All"]
    git(folder, "init", "--quiet", "--initial-branch", BRANCH)
    git(folder, "add", ".")
    git(folder, *commit)
    git(folder, "checkout", "--quiet", "-b", "other")  # its head is no package
    git(folder, "rm", "--quiet", "-r", "companion", "pyproject.toml")
    git(folder, *commit)
    return folder


@pytest.fixture(scope="module")
def chapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chapters, as they are once the address is set."""
    folder = copy(tmp_path_factory.mktemp("published"))
    address(folder, "--url", URL, "--branch", BRANCH).well()
    return folder / "book"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean(tmp_path_factory.mktemp("colab") / "venv", *THERE)


def instead_of(repository: Path | str) -> dict[str, str]:
    """Environment variables that make git find the address in a folder."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": URL,
        "IPYTHONDIR": "ipython",
    }


def execute(python: Path, notebook: Path, empty: Path, variables: dict[str, str]) -> Any:
    """Run a copy of it in an empty folder; what came out."""
    shutil.copy(notebook, empty / "alone.ipynb")
    run(python, "-c", RUN, folder=empty, variables=variables).well()
    return nbformat.read(empty / "alone.ipynb", as_version=4)


def installed(python: Path) -> dict[str, int]:
    """Every file of the environment's packages, links not followed, and when it was written."""
    folder = next((python.parents[1] / "lib").glob("python*/site-packages"))
    return {path.name: path.lstat().st_mtime_ns for path in folder.iterdir()}


def uninstall(python: Path) -> None:
    if "companion" in installed(python):
        run(python, "-m", "pip", "uninstall", "-qq", "--yes", "training-routine").well()


def first_cell(
    python: Path, notebook: Path, empty: Path, variables: Mapping[str, str] = NOTHING
) -> str:
    """Run it alone (nothing in it is IPython's); the exception that it ends in, or ""."""
    cells = nbformat.read(notebook, as_version=4).cells
    source = next(cell.source for cell in cells if cell.cell_type == "code")
    done = run(python, "-c", source, folder=empty, variables=variables)
    assert done.out == ""
    assert bool(done.code) == bool(done.err), done.err
    return re.split(r"^(?=\w+Error: )", done.err, flags=re.M)[-1]


def install(python: Path, notebook: Path, empty: Path, repository: Path) -> None:
    """By the first cell, quietly; a package that another test has left there will do."""
    if "companion" not in installed(python):
        assert first_cell(python, notebook, empty, instead_of(repository)) == ""


@pytest.mark.parametrize(
    "chapter",
    # The others import nothing else that Colab has to have: see below. This one is soon done.
    [SOON, *(pytest.param(name, marks=pytest.mark.weekly) for name in NAMES if name != SOON)],
)
def test_a_notebook_alone_gets_the_package_and_runs(
    chapter: str, python: Path, repository: Path, chapters: Path, tmp_path: Path
) -> None:
    uninstall(python)
    before = installed(python)
    assert "companion" not in before

    notebook = chapters / f"{chapter}.ipynb"
    ran = execute(python, notebook, tmp_path, instead_of(repository))
    setup = next(cell for cell in ran.cells if cell.cell_type == "code")
    assert "git+https://" in setup.source
    assert setup.outputs == []  # quiet
    after = installed(python)
    new = {*after} - {*before, "__pycache__"}
    assert new == {"companion", "pytest_companion.py", "training_routine-0.1.0.dist-info"}
    assert {name: after[name] for name in before} == before  # PyTorch and all others as they were
    assert sum(cell.cell_type == "code" and bool(cell.outputs) for cell in ran.cells) > 5


def test_chapters_import_what_is_there() -> None:
    """Each chapter is executed in our own environment every day, and in this one every week."""
    known = {name.replace("scikit-learn", "sklearn") for name in THERE} | sys.stdlib_module_names
    known |= {"IPython"}  # the kernel is made of it
    for path in CHAPTERS:
        cells = nbformat.read(path, as_version=4).cells
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        imported = {
            name.partition(".")[0]
            for source in code
            if not source.startswith("%")
            for node in ast.walk(ast.parse(source))
            for name in names_of(node)
        }
        assert imported - {"companion"} <= known, path
        assert len(imported) > 1


def names_of(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [one.name for one in node.names] if isinstance(node, ast.Import) else []


def test_where_the_package_is_there_nothing_is_done(
    python: Path, repository: Path, chapters: Path, tmp_path: Path
) -> None:
    notebook = chapters / f"{NAMES[0]}.ipynb"
    install(python, notebook, tmp_path, repository)
    before = installed(python)
    assert first_cell(python, notebook, tmp_path, instead_of("/nowhere")) == ""
    assert installed(python) == before


def test_where_the_package_cannot_be_had_the_cell_says_so(
    python: Path, chapters: Path, tmp_path: Path
) -> None:
    uninstall(python)
    notebook = chapters / f"{NAMES[0]}.ipynb"
    error = first_cell(python, notebook, tmp_path, instead_of("/nowhere"))
    wanted = f"pip could not install training-routine from git+{URL}@{BRANCH}:\n"
    assert error.startswith(f"RuntimeError: {wanted}")
    assert "/nowhere" in error


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("companion.py", False),
        pytest.param("companion/other.txt", False, marks=pytest.mark.weekly),
        ("companion/__init__.py", True),
    ],
)
def test_another_companion_is_not_taken_for_ours(
    name: str, there: bool, python: Path, repository: Path, chapters: Path, tmp_path: Path
) -> None:
    """Whether ours is there already or is got by the cell.

    A folder without modules is passed over by Python itself, once the package is there.
    """
    notebook = chapters / f"{NAMES[0]}.ipynb"
    if there:
        install(python, notebook, tmp_path, repository)
    else:
        uninstall(python)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    error = first_cell(python, notebook, tmp_path, instead_of(repository))
    assert "companion" in installed(python)
    if name.endswith(".txt"):
        assert error == ""
        return
    assert error.startswith(f"ImportError: {tmp_path / name} is another 'companion'")
    assert "Remove or rename it" in error


def test_a_folder_that_is_imported_for_want_of_ours_is_named(
    python: Path, repository: Path, chapters: Path, tmp_path: Path
) -> None:
    """The distribution is said to be there, and its package is gone."""
    notebook = chapters / f"{NAMES[0]}.ipynb"
    uninstall(python)
    (tmp_path / "training_routine-0.1.0.dist-info").mkdir()
    about = tmp_path / "training_routine-0.1.0.dist-info/METADATA"
    about.write_text("Metadata-Version: 2.1\nName: training-routine\nVersion: 0.1.0\n")
    (tmp_path / "companion").mkdir()
    error = first_cell(python, notebook, tmp_path, instead_of(repository))
    assert error.startswith(f"ImportError: {tmp_path / 'companion'} is another 'companion'")


def test_without_an_address_the_cell_says_how_to_get_the_package(
    python: Path, tmp_path: Path
) -> None:
    uninstall(python)
    notebook = without(tmp_path / "course") / f"book/{NAMES[0]}.ipynb"
    for other in None, "companion.py":
        if other:
            (tmp_path / other).touch()
        error = first_cell(python, notebook, tmp_path)
        assert error.startswith("ModuleNotFoundError: ")
        assert error.endswith('repository, run: python -m pip install ".[course]"\n')
