"""What only a whole script shows: lines before its loop, and a library's loop over its hooks."""

from __future__ import annotations

import json
from pathlib import Path

from tests.package.command.running import LOOP, SETUP, Start
from tests.package.running import write


def found(start: Start, folder: Path) -> list[tuple[str, str, int]]:
    """Rule, file and line of each finding."""
    start("--json", "report.json", "script.py")
    report = json.loads((folder / "report.json").read_text())
    return [(one["rule"], Path(one["file"]).name, one["line"]) for one in report["findings"]]


def test_a_misspelt_attribute_is_found_in_the_file_that_set_it(
    start: Start, tmp_path: Path
) -> None:
    write(tmp_path, SETUP + "from frozen import freeze\nfreeze(net[0])\n" + LOOP, "script.py")
    freeze = "def freeze(module):\n    for p in module.parameters():\n        {}\n"
    write(tmp_path, freeze.format("p.require_grad = False  # requires_grad"), "frozen.py")
    assert found(start, tmp_path) == [("misnamed", "frozen.py", 3)]
    write(tmp_path, freeze.format("p.requires_grad = False"), "frozen.py")
    assert found(start, tmp_path) == []


def test_a_hook_of_a_librarys_loop_keeps_graphs(start: Start, tmp_path: Path) -> None:
    library = """
def fit(task, optimizer, data):
    for i, batch in enumerate(data):
        def closure():
            optimizer.zero_grad()
            loss = task.training_step(batch, i)
            loss.backward()
            return loss
        optimizer.step(closure)
"""
    script = (
        SETUP
        + """
import sys
sys.path.append("site-packages")
from library import fit
class Task:
    outputs = []
    def training_step(self, batch, i):
        loss = nn.functional.mse_loss(net(batch), y)
        self.outputs.append({"loss": loss, "step": i})
        return loss
fit(Task(), optimizer, [x] * 6)
"""
    )
    (tmp_path / "site-packages").mkdir()
    write(tmp_path / "site-packages", library, "library.py")
    write(tmp_path, script, "script.py")
    line = 1 + [*script.splitlines()].index(
        '        self.outputs.append({"loss": loss, "step": i})'
    )
    assert found(start, tmp_path) == [("graph-kept", "script.py", line)]
    write(tmp_path, script.replace('{"loss": loss,', '{"loss": loss.item(),'), "script.py")
    assert found(start, tmp_path) == []


def test_the_cure_of_two_statements_on_a_line(start: Start, tmp_path: Path) -> None:
    both = 'print("step", step); losses.append(loss)'
    loop = LOOP.replace('print("step", step, loss.item())', both)
    write(tmp_path, f"{SETUP}losses = []\n{loop}")
    start("--json", "report.json", "script.py")
    (told,) = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert (told["rule"], told["source"]) == ("graph-kept", both)
    assert told["cure"] == "# loss.detach() in place of loss, where losses keeps it"
