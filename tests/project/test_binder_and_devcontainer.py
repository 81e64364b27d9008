"""Binder and the devcontainer: their files parse, name what exists, and use the same pins."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from tests import ROOT, TARGETS
from tests.package.running import run

BINDER, DEVCONTAINER = ROOT / ".binder", ROOT / ".devcontainer"


def test_binder_gets_a_python_that_is_supported() -> None:
    (python,) = re.findall(r"^python-(3\.\d+)$", (BINDER / "runtime.txt").read_text(), flags=re.M)
    assert f'"Programming Language :: Python :: {python}"' in (ROOT / "pyproject.toml").read_text()
    assert {path.name for path in BINDER.iterdir()} == {"runtime.txt", "postBuild"}


def test_binder_installs_the_course_with_the_pins(tmp_path: Path) -> None:
    """Its script, with a `python` and a `uv` that write down what they are asked for."""
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    for name in ("python", "uv"):
        stand_in = tmp_path / name
        stand_in.write_text(f'#!/bin/sh\necho "$PWD: {name} $*" >> {tmp_path / "asked"}\n')
        stand_in.chmod(0o755)
    run(tmp_path, script, among={"PATH": f"{tmp_path}:/usr/bin:/bin"}).well()
    got_uv, installed = (tmp_path / "asked").read_text().splitlines()
    assert re.fullmatch(rf"{ROOT}: python -m pip install .*uv==[\d.]+", got_uv)
    assert installed.startswith(f"{ROOT}: uv pip install ")
    for words in (
        f"--python {tmp_path / 'python'}",
        "--torch-backend cpu",
        "--constraint constraints.txt",
        ".[course]",
    ):
        assert words in installed


def test_the_devcontainer_names_what_exists() -> None:
    said = json.loads((DEVCONTAINER / "devcontainer.json").read_text())
    dockerfile = (DEVCONTAINER / said["build"]["dockerfile"]).read_text()
    assert re.search(rf"useradd .*\b{said['remoteUser']}$", dockerfile, flags=re.M)
    (python,) = re.findall(r"^FROM python:(3\.\d+)-\w+$", dockerfile, flags=re.M)
    assert f'"Programming Language :: Python :: {python}"' in (ROOT / "pyproject.toml").read_text()
    assert said["containerEnv"]["UV_TORCH_BACKEND"] == "cpu"
    settings = said["customizations"]["vscode"]["settings"]
    interpreter = settings["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"
    assert said["portsAttributes"].keys() == {str(port) for port in said["forwardPorts"]}


def test_what_the_devcontainer_runs_is_a_target() -> None:
    said = json.loads((DEVCONTAINER / "devcontainer.json").read_text())
    command = said["postCreateCommand"].split()
    run(ROOT, *command, "--dry-run", f"PYTHON={sys.executable}").well()
    for port in said["portsAttributes"].values():
        assert port["label"].rpartition("make ")[2] in TARGETS
