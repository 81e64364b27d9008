"""`python -m companion script.py`: what a criterion is fed with, wherever it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.package.command.running import Start
from tests.package.running import write

SETUP = """\
import sys
sys.path.insert(0, "site-packages")
import torch, warnings
import torch.nn.functional as F
from torch import nn
warnings.simplefilter("ignore")
torch.manual_seed(0)
batches = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(5)]
rows = [(x, torch.randn(8)) for x, _ in batches]
def start(*layers):
    net = nn.Sequential(*layers)
    return net, torch.optim.SGD(net.parameters(), lr=0.1)
"""
LIBRARY = """\
def fit(net, optimizer, criterion, batches):
    for x, y in batches:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
"""
LOOP = """\
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

# The rule, the script, and what its report says somewhere.
CASES = {
    "a library's fit, NLLLoss": (
        "log-missing",
        """\
import fitting
net, optimizer = start(nn.Linear(4, 3), nn.Softmax(dim=1))
fitting.fit(net, optimizer, nn.NLLLoss(), batches)  # <-
""",
        "torch.log_softmax(..., dim=1)  # where the softmax stands now",
    ),
    "a library's fit, MSELoss": (
        "broadcast-loss",
        """\
import fitting
net, optimizer = start(nn.Linear(4, 1))
fitting.fit(net, optimizer, nn.MSELoss(), rows)  # <-
""",
        "# .squeeze(1) of the output, before this",
    ),
    "a library's fit, a function of the user's": (
        "broadcast-loss",
        """\
import fitting
def rmse(outputs, targets):
    error = outputs - targets  # <-
    return error.pow(2).mean().sqrt()
net, optimizer = start(nn.Linear(4, 1))
fitting.fit(net, optimizer, rmse, rows)
""",
        "error = outputs.squeeze(1) - targets",
    ),
    "a library's fit, CrossEntropyLoss": (
        "softmax-twice",
        """\
import fitting
net, optimizer = start(nn.Linear(4, 3), nn.Softmax(dim=1))
fitting.fit(net, optimizer, nn.CrossEntropyLoss(), batches)  # <-
""",
        "with 3 classes no loss can fall below 0.551",
    ),
    "targets that are cut": (
        "broadcast-loss",
        """\
class Own(nn.Module):
    def forward(self, outputs, targets):
        return torch.mean((outputs - targets) ** 2)
criterion = Own()
net, optimizer = start(nn.Linear(4, 1))
x, y = torch.randn(40, 4), torch.randn(40)
for i in range(0, 40, 8):
    loss = criterion(net(x[i : i + 8]), y[i : i + 8])  # <-
"""
        + LOOP,
        "loss = criterion(net(x[i:i + 8]), y[i:i + 8].unsqueeze(1))",
    ),
    "a product in several places": (
        "broadcast-loss",
        """\
net, optimizer = start(nn.Linear(4, 1), nn.Sigmoid())
for x, _ in batches:
    y = torch.randint(2, (8,)).float()
    p = net(x)
    loss = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()  # <-
"""
        + LOOP,
        "loss = -(y.unsqueeze(1) * torch.log(p) + (1 - y.unsqueeze(1)) * torch.log(1 - p)).mean()",
    ),
    "the target is the column": (
        "broadcast-loss",
        """\
net, optimizer = start(nn.Linear(4, 1), nn.Flatten(0))
for x, y in rows:
    column = y[:, None]
    loss = F.huber_loss(net(x), column)  # <-
"""
        + LOOP,
        "loss = F.huber_loss(net(x), column.squeeze(1))",
    ),
}


def report_of(script: str, start: Start, tmp_path: Path) -> tuple[Any, str]:
    write(tmp_path, SETUP + script, "script.py")
    (tmp_path / "site-packages").mkdir()
    write(tmp_path / "site-packages", LIBRARY, "fitting.py")
    ran = start("--json", "report.json", "script.py")
    return json.loads((tmp_path / "report.json").read_text())["findings"], ran.err


@pytest.mark.parametrize("case", CASES)
def test_on_the_users_line(case: str, start: Start, tmp_path: Path) -> None:
    rule, script, says = CASES[case]
    (finding,), err = report_of(script, start, tmp_path)
    lines = (SETUP + script).splitlines()
    (wanted,) = (number for number, line in enumerate(lines, 1) if line.endswith("# <-"))
    assert (finding["rule"], finding["line"], finding["certain"]) == (rule, wanted, True)
    assert says in finding["cure"] or says in finding["observed"]
    assert f"{rule}, line {wanted}" in err


SCALED = {
    "a factor": "0.1 * F.cross_entropy(net(x), y)",
    "a sum": "F.cross_entropy(net(x), y, reduction='sum')",
    "label smoothing": "F.cross_entropy(net(x), y, label_smoothing=0.1)",
    "two losses": "F.cross_entropy(net(x), y) + 0.01 * net(x).square().mean()",
    "weights of labels": "F.binary_cross_entropy_with_logits(net(x), F.one_hot(y, 3).float(), "
    "pos_weight=torch.tensor(0.1))",
}


@pytest.mark.parametrize("case", SCALED)
def test_no_number_where_it_is_not_known(case: str, start: Start, tmp_path: Path) -> None:
    script = f"""\
net, optimizer = start(nn.Linear(4, 3), nn.Softmax(dim=1))
for x, y in batches:
    loss = {SCALED[case]}
{LOOP}"""
    (finding,), _ = report_of(script, start, tmp_path)
    assert finding["rule"] == "softmax-twice"
    assert "can fall below" not in finding["observed"]


def test_equal_targets_are_only_possibly_wrong(start: Start, tmp_path: Path) -> None:
    """Their mean loss is the same, broadcast or not; their sum is not."""
    script = f"""\
net, optimizer = start(nn.Linear(4, 1))
for x, _ in batches:
    loss = F.mse_loss(net(x), torch.ones(8)) + F.mse_loss(net(x), torch.zeros(8))
{LOOP}"""
    (finding,), err = report_of(script, start, tmp_path)
    assert (finding["rule"], finding["certain"]) == ("broadcast-loss", False)
    assert "their mean is the same here, since all targets are the same" in finding["observed"]
    assert finding["cure"] == "# .squeeze(1) of the output, before this"
    assert "possible: broadcast-loss" in err
