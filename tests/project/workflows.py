"""The workflows as data: their jobs, their steps, and the commands that the steps run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tests import ROOT
from tests.package.running import Ran, run

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
WORKFLOWS: dict[str, Any] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES
}
JOBS: dict[tuple[str, str], Any] = {
    (workflow, job): content
    for workflow, whole in WORKFLOWS.items()
    for job, content in whole["jobs"].items()
}
STEPS: list[tuple[str, str, Any]] = [
    (workflow, job, step) for (workflow, job), content in JOBS.items() for step in content["steps"]
]


def command(workflow: str, job: str, name: str) -> str:
    """What a step runs, found by its name."""
    (found,) = (step for step in JOBS[workflow, job]["steps"] if step.get("name") == name)
    return str(found["run"])


def run_step(script: str, folder: Path, **variables: str) -> Ran:
    """Run a step's command as a runner does: `bash -e`, in the folder of the checkout."""
    bash = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]
    among = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return run(folder, *bash, script, variables=variables, among=among)
