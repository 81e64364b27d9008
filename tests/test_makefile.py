"""The environment that `make` sets up: whole, or made anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_a_failed_install_is_not_trusted(clone: Path) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    offline["UV_TORCH_BACKEND"] = ""  # pip installs
    first = make(clone, ".venv/ready", **offline)
    assert first.returncode != 0
    assert "Setting up .venv" in first.stdout
    assert (clone / ".venv").exists()
    assert not (clone / ".venv/ready").exists()
    (clone / ".venv/left-over").touch()

    second = make(clone, ".venv/ready", **offline)
    assert second.returncode != 0
    assert not (clone / ".venv/left-over").exists()  # made anew, not continued


def test_a_ready_environment_is_left_alone(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv/ready").touch()
    again = make(clone, ".venv/ready")
    assert again.returncode == 0
    assert "is up to date" in again.stdout

    os.utime(clone / "constraints.txt", (2**31, 2**31))
    assert make(clone, "--dry-run", ".venv/ready").stdout.count("pip install") == 1


def test_uv_installs_where_a_build_of_torch_is_asked_for(clone: Path) -> None:
    for backend, installer in [("", ".venv/bin/python -m pip"), ("cpu", "uv pip")]:
        told = make(clone, "--dry-run", ".venv/ready", UV_TORCH_BACKEND=backend).stdout
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
    assert done.returncode != 0
    assert "Python 3.10 or newer is needed; this is 3.9" in done.stderr
    assert not (clone / ".venv").exists()
