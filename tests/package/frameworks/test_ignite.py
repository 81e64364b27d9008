"""The smallest of them, in every run: a trainer of ignite's, and a function in its loop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.package.frameworks.scripts import IGNITE, IGNITE_BROKEN
from tests.package.running import forks, write


def ran(folder: Path, script: str) -> tuple[str, Mapping[str, int]]:
    """What the report says, and the findings by rule."""
    pytest.importorskip("ignite")
    write(folder, script, "train.py")
    err = forks().run(folder, "--json", "report.json", "train.py", how="command").err
    told = json.loads((folder / "report.json").read_text())
    return err, {one["rule"]: one["line"] for one in told["findings"]}


def test_a_trainer_of_ignites(tmp_path: Path) -> None:
    err, found = ran(tmp_path, IGNITE)
    assert found == {}
    assert "companion: watched 3 steps inside ignite.Engine.run(), no findings\n" in err
    rows = [line.split()[:3] for line in err.split("\n\n")[0].splitlines()[4:]]
    update = "supervised_training_step.update"
    assert rows == [
        ["3x", "optimizer", "zero_grad"],
        ["3x", update, "forward,"],
        ["3x", update, "backward"],
        ["3x", "optimizer", "step"],
    ]


def test_a_function_of_the_users_in_its_loop(tmp_path: Path) -> None:
    err, found = ran(tmp_path, IGNITE_BROKEN)
    number = IGNITE_BROKEN.splitlines().index("    loss.backward()  # <- accumulates") + 1
    assert found == {"accumulates": number}
    assert "companion: watched 3 steps, 1 finding\n" in err
