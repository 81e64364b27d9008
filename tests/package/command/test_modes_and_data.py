"""What the command tells of networks that nobody gave it: teachers, averages, targets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.package.command.running import Start
from tests.package.running import write

SETUP = """
import copy, torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
def network(width, n_out=3):
    return nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(width, n_out))
student = network(8)
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
"""
TEACHER = (
    SETUP
    + """
class Distiller:
    def __init__(self, teacher):
        self.teacher = teacher
    def step(self, x):
        with torch.no_grad():
            target = self.teacher(x)
        loss = F.mse_loss(student(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
distiller = Distiller(network(16))
for _ in range(4):
    distiller.step(torch.randn(16, 4))
"""
)
PART = (
    SETUP
    + """
whole = network(16).requires_grad_(False)
features = nn.Sequential(*list(whole.children())[:3])
head = nn.Linear(3, 3)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
print(whole(torch.randn(16, 4)).shape)
for _ in range(4):
    x = torch.randn(16, 4)
    with torch.no_grad():
        inner = features(x)
    loss = F.cross_entropy(head(inner[:, :3]), torch.randint(3, (16,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)
PART_IN_A_FUNCTION = (
    SETUP
    + """
whole = network(16).requires_grad_(False)
backbone = nn.Sequential(*list(whole.children())[:3])
head = nn.Linear(16, 3)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
def train(features):
    for _ in range(4):
        with torch.no_grad():
            inner = features(torch.randn(16, 4))
        loss = F.cross_entropy(head(inner), torch.randint(3, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
def validate(net):
    with torch.no_grad():
        return head(net(torch.randn(16, 4))).mean()
for epoch in range(2):
    train(backbone)
    score = validate(backbone)
"""
)
AVERAGE = (
    SETUP
    + """
class EMA:
    def __init__(self, net):
        self.module = copy.deepcopy(net).eval().requires_grad_(False)
    @torch.no_grad()
    def update(self, net):
        for ours, theirs in zip(self.module.parameters(), net.parameters()):
            ours.lerp_(theirs, 0.1)
ema = EMA(student)
for _ in range(4):
    x = torch.randn(16, 4)
    loss = F.mse_loss(student(x), ema.module(x))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    ema.update(student)
"""
)
ALTERNATING = """
import torch
from torch import nn
import torch.nn.functional as F
gen = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
disc = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1))
opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
for step in range(6):
    disc.requires_grad_(False)
    opt_g.zero_grad()
    F.softplus(-disc(gen(torch.randn(8, 2)))).mean().backward()
    opt_g.step()
    disc.requires_grad_(True)
    if step == 5:
        opt_d.zero_grad()
        F.softplus(disc(torch.randn(8, 4))).mean().backward()
        opt_d.step()
"""


def findings(start: Start, tmp_path: Path, script: str) -> list[dict[str, Any]]:
    write(tmp_path, script)
    start("--json", "report.json", "script.py").well()
    found: list[dict[str, Any]] = json.loads((tmp_path / "report.json").read_text())["findings"]
    return found


@pytest.mark.usefixtures("source")
def test_a_teacher_in_training_mode(start: Start, tmp_path: Path) -> None:
    (finding,) = findings(start, tmp_path, TEACHER)
    assert finding["rule"] == "frozen-in-train-mode"
    assert not finding["certain"]
    assert finding["source"] == "target = self.teacher(x)"
    assert finding["cure"].startswith("self.teacher.eval()")
    assert "BatchNorm1d, Dropout; its 1." in finding["observed"]


def test_a_teacher_in_eval_mode(start: Start, tmp_path: Path) -> None:
    assert not findings(start, tmp_path, TEACHER.replace("network(16))", "network(16).eval())"))


@pytest.mark.usefixtures("source")
def test_a_part_in_training_mode_of_what_has_a_name_too(start: Start, tmp_path: Path) -> None:
    """It is told by the name on its line, though the whole was looked at before."""
    (finding,) = findings(start, tmp_path, PART)
    assert finding["rule"] == "frozen-in-train-mode"
    assert finding["source"] == "inner = features(x)"
    assert finding["cure"].startswith("features.eval()")
    assert "; its 1.running_mean went from" in finding["observed"]
    told = json.loads((tmp_path / "report.json").read_text())["code"]
    (line,) = (line for line in told if line["source"] == "inner = features(x)")
    assert line["changed_others"][0] == "features.1.running_mean"


def test_a_part_of_what_is_in_eval_mode(start: Start, tmp_path: Path) -> None:
    """The new Sequential around them is itself in training mode."""
    assert not findings(start, tmp_path, PART.replace("print", "whole.eval()\nprint"))


def test_the_whole_of_which_a_part_has_a_name_too(start: Start, tmp_path: Path) -> None:
    (finding,) = findings(start, tmp_path, PART.replace("features(x)", "whole(x)"))
    assert finding["cure"].startswith("whole.eval()")


def test_a_part_is_the_same_when_it_is_looked_at_later(start: Start, tmp_path: Path) -> None:
    """After the epoch the loop's own name for it is gone."""
    rules = {one["rule"] for one in findings(start, tmp_path, PART_IN_A_FUNCTION)}
    assert "frozen-in-train-mode" in rules
    told = json.loads((tmp_path / "report.json").read_text())["code"]
    (line,) = (line for line in told if line["source"].startswith("return head"))
    assert line["changed_others"][0] == "features.1.running_mean"


def test_what_learns_goes_through_it(start: Start, tmp_path: Path) -> None:
    """A frozen network whose dropout is that of the training, as with a prompt."""
    prompt = """
frozen = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.1), nn.Linear(5, 3)).requires_grad_(False)
for _ in range(4):
    loss = F.mse_loss(frozen(student(torch.randn(16, 4))), torch.randn(16, 3))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
    assert not findings(start, tmp_path, SETUP + prompt)


def test_a_copy_may_be_a_target_that_is_renewed_later(start: Start, tmp_path: Path) -> None:
    """It was made alone, and no step shows what becomes of it; its shapes tell."""
    assert not findings(start, tmp_path, TEACHER.replace("network(16))", "network(8))"))


def test_a_network_in_turn_is_not_left_alone(start: Start, tmp_path: Path) -> None:
    """When the watching begins it is frozen, and its optimizer steps much later."""
    assert not findings(start, tmp_path, ALTERNATING)


def test_an_average_in_an_object_of_the_users_own(start: Start, tmp_path: Path) -> None:
    (finding,) = findings(start, tmp_path, AVERAGE)
    assert (finding["rule"], finding["certain"]) == ("average-without-buffers", False)
    assert finding["source"] == "ours.lerp_(theirs, 0.1)"
    assert "zip(ema.module.buffers(), student.buffers())" in finding["cure"]


def test_an_average_with_its_buffers(start: Start, tmp_path: Path) -> None:
    more = """
        for kept, new in zip(self.module.buffers(), net.buffers()):
            kept.copy_(new)
"""
    whole = AVERAGE.replace("theirs, 0.1)\n", f"theirs, 0.1){more}")
    assert not findings(start, tmp_path, whole)
