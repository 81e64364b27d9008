"""Where a fault began, as only a whole script shows it: before the loop, or in a first backward."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.package.command.running import Start
from tests.package.running import write

HEAD = """
import torch
from torch import nn
torch.manual_seed(0)
"""

FROZEN = """
model = nn.ModuleDict({"body": nn.Linear(4, 8), "head": nn.Linear(8, 3)})
for p in model.parameters():
    p.requires_grad = False
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(4):
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    loss = nn.functional.cross_entropy(model["head"](model["body"](x)), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
"""

CHOSEN = """
net = nn.Linear(4, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(4):
    x, y = torch.randn(8, 4), torch.rand(8)
    out = net(x)
    chosen = out.argmax(1).float()
    loss = nn.functional.mse_loss(chosen, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
"""

DATA = """
net = nn.Linear(4, 1)
opt_net = torch.optim.SGD(net.parameters(), lr=0.1)
x, y = torch.randn(8, 4), torch.randn(8, 1)
x[2, 1] = float("nan")
for _ in range(4):
    loss = nn.functional.mse_loss(net(x), y)
    opt_net.zero_grad()
    loss.backward()
    opt_net.step()
"""


@pytest.mark.parametrize(
    ("script", "rule", "line", "words"),
    [
        (FROZEN, "no-gradient", "loss.backward()", "none of 4 parameters requires a gradient"),
        (CHOSEN, "no-gradient", "chosen = ", "made chosen of out, and chosen has no graph"),
        (DATA, "not-finite", "loss = ", "1 of 32 entries of x were NaN or infinite: it came so"),
    ],
    ids=["all frozen", "argmax", "data"],
)
def test_it_is_told(
    start: Start, tmp_path: Path, script: str, rule: str, line: str, words: str
) -> None:
    write(tmp_path, HEAD + script)
    ran = start("script.py")
    said = re.sub(r"\s+", " ", ran.err)
    assert re.search(rf"{rule}, line \d+(, \d+ times)?: {re.escape(line)}", said)
    assert words in said
    assert ("RuntimeError: element 0" in ran.err) is (rule == "no-gradient")
