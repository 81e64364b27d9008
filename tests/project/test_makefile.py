"""The environment that `make` sets up: whole, or made anew."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.package.running import Ran, python, run


def make(folder: Path, *arguments: str, **variables: str) -> Ran:
    return run(folder, "make", *arguments, variables=variables)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_a_failed_install_is_not_trusted(clone: Path) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    offline["UV_TORCH_BACKEND"] = ""  # pip installs
    first = make(clone, ".venv/ready", **offline)
    assert first.code != 0
    assert "Setting up .venv" in first.out
    assert (clone / ".venv").exists()
    assert not (clone / ".venv/ready").exists()
    (clone / ".venv/left-over").touch()

    quick = clone / "python"  # pip has been installed once, and was refused what it asked for
    quick.write_text(f'#!/bin/sh\nexec {sys.executable} "$@" ${{3:+--without-pip}}\n')
    quick.chmod(0o755)
    second = make(clone, ".venv/ready", f"PYTHON={quick}", **offline)
    assert "No module named pip" in second.err
    assert second.code != 0
    assert not (clone / ".venv/left-over").exists()  # made anew, not continued


def test_a_ready_environment_is_left_alone(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv/ready").touch()
    assert "is up to date" in make(clone, ".venv/ready").well().out

    os.utime(clone / "constraints.txt", (2**31, 2**31))
    assert make(clone, "--dry-run", ".venv/ready").out.count("pip install") == 1


def test_an_environment_that_was_whole_outlives_a_failed_update(clone: Path) -> None:
    """Here without pip. It is not taken for updated either: the next run tries again."""
    python(clone, "-m", "venv", "--without-pip", ".venv").well()
    (clone / ".venv/ready").touch()
    (clone / ".venv/installed-before").touch()
    os.utime(clone / ".venv/ready", (0, 0))
    for _ in range(2):
        done = make(clone, ".venv/ready", UV_TORCH_BACKEND="")
        assert done.code != 0
        assert "No module named pip" in done.err
        assert "Updating .venv" in done.out
        assert (clone / ".venv/installed-before").exists()
        assert (clone / ".venv/ready").stat().st_mtime == 0


def test_what_is_given_away_is_built_from_nothing(clone: Path) -> None:
    """With a jupyter-book and a python that only write down what they are asked for."""
    (clone / "_config.yml").touch()
    for name in ".venv/bin", "_build/html", "_build/.doctrees":
        (clone / name).mkdir(parents=True)
    for name in "jupyter-book", "python":
        stand_in = clone / ".venv/bin" / name
        stand_in.write_text(f'#!/bin/sh\necho "{name} $*: $(ls -A _build)" >> asked\n')
        stand_in.chmod(0o755)
    (clone / ".venv/ready").touch()
    (clone / "_build/html/robots.txt").touch()
    for targets in ["pdf"], ["zip"], ["candidate"], ["--jobs=2", "pdf", "zip"]:
        (clone / "_build/html").mkdir(exist_ok=True)
        (clone / "dist").mkdir(exist_ok=True)
        (clone / "asked").unlink(missing_ok=True)
        make(clone, *targets).well()
        asked = (clone / "asked").read_text().splitlines()
        built = [line for line in asked if line.startswith("jupyter-book")]
        assert [line.rpartition(":")[2].strip() for line in built] == [""], targets


def test_what_was_packed_is_named_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").touch()
    tool, output = str(ROOT / "tools/site_zip.py"), str(tmp_path / "dist/a.zip")
    done = python(tmp_path, tool, "--site", "site", "--output", output)
    assert done == (0, "dist/a.zip: 0.0 MB\n", "")


def test_uv_installs_where_a_build_of_torch_is_asked_for(clone: Path) -> None:
    for backend, installer in [("", ".venv/bin/python -m pip"), ("cpu", "uv pip")]:
        told = make(clone, "--dry-run", ".venv/ready", UV_TORCH_BACKEND=backend).out
        (install,) = (line for line in told.splitlines() if "install" in line.split())
        assert install.startswith(f"{installer} install ")
        assert install.endswith(" --constraint constraints.txt --editable '.[test]'")
        assert backend == "" or "--python .venv/bin/python" in install


def test_an_old_python_is_refused_by_name(clone: Path) -> None:
    old = clone / "python"
    pretend = "import sys; sys.version_info = (3, 9, 18); exec(sys.argv[1])"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{pretend}' \"$2\"\n")
    old.chmod(0o755)
    done = make(clone, ".venv/ready", f"PYTHON={old}")
    assert done.code != 0
    assert "Python 3.10 or newer is needed; this is 3.9" in done.err
    assert not (clone / ".venv").exists()
