"""What takes part in a script's training beside its network: teachers, averages, loss weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.package.command.running import Start
from tests.package.running import write

DISTILLED = """
import copy, torch
from torch import nn

torch.manual_seed(0)
student = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
teacher = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))  # in train mode
ema = copy.deepcopy(student)
log_vars = torch.zeros(2, requires_grad=True)
optimizer = torch.optim.SGD([*student.parameters(), log_vars], lr=0.1)
for step in range(4):
    x = torch.randn(16, 4)
    with torch.no_grad():
        target = teacher(x).softmax(1)
    outputs = student(x)
    loss = nn.functional.kl_div(outputs.log_softmax(1), target, reduction="batchmean")
    loss = (torch.stack([loss, loss]) * (-log_vars).exp() + log_vars).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for ours, theirs in zip(ema.parameters(), student.parameters()):
            ours.lerp_(theirs, 0.1)
        teacher[0].bias.add_(0.001)
"""


@pytest.mark.usefixtures("source")
def test_each_is_told_on_the_line_that_moves_it(start: Start, tmp_path: Path) -> None:
    write(tmp_path, DISTILLED)
    ran = start("--json", "report.json", "script.py").well()
    said = {line.split("  ")[-1].strip() for line in ran.err.splitlines()}
    assert "ema: 1 changed" in said
    assert "teacher: 1 changed" in said
    assert "no findings" in ran.err
    told = json.loads((tmp_path / "report.json").read_text())["code"]
    lines = {line["source"]: line for line in told}
    moved = lines["ours.lerp_(theirs, 0.1)"]
    # The first layer's bias stays as it is: the batch norm takes the mean away.
    names = ("0.weight", "1.weight", "1.bias", "3.weight", "3.bias")
    assert moved["changed_others"] == [f"ema.{name}" for name in names]
    assert lines["optimizer.step()"]["changed_parameters"][-1] == "optimizer.log_vars"
    assert lines["optimizer.step()"]["changed_others"] == []
    assert lines["outputs = student(x)"]["changed_buffers"] == [
        "1.running_mean", "1.running_var", "1.num_batches_tracked",
    ]  # fmt: skip
    assert [lines[header]["runs"] for header in lines if header.startswith("with")] == [3]
    assert "Trace of Sequential, 7 parameters" in ran.err


def test_one_that_is_too_large_is_said(start: Start, tmp_path: Path) -> None:
    """Its memory is never touched: the system gives none for zeros that nobody reads."""
    script = DISTILLED.replace(
        "teacher = ", "giant = nn.Embedding(2**28, 1, _weight=torch.zeros(2**28, 1))\nteacher = "
    )
    write(tmp_path, script)
    ran = start("script.py").well()
    assert "not watched: giant, which only takes part: it has more than 512 MiB" in ran.err


def test_the_text_has_lines_that_run_again_and_again_once(start: Start, tmp_path: Path) -> None:
    """Under LBFGS a step calls its closure four times, and is one run of its line."""
    write(
        tmp_path,
        """
import torch
net = torch.nn.Linear(4, 1)
x = torch.randn(32, 4)
optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=4)
def closure():
    optimizer.zero_grad()
    loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
    loss.backward()
    return loss
for epoch in range(6):
    optimizer.step(closure)
""",
    )
    start("--json", "report.json", "script.py").well()
    told = json.loads((tmp_path / "report.json").read_text())["code"]
    runs = {line["source"]: line["runs"] for line in told}
    assert runs["optimizer.step(closure)"] in (3, 4)  # the last has only begun
    assert runs["loss.backward()"] == 12
