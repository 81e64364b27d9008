"""Scripts for the command, and what a report shows of them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

from tests.package import loops
from tests.package.running import Ran

REAL = sorted(Path(loops.__file__).parent.glob("real_*.py"))
NO_LOOP = "companion: no training loop ran in this process"

SETUP = """\
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
x, y = torch.randn(8, 4), torch.randn(8, 1)
"""
STEP = """\
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(x), y)
    loss.backward()
    optimizer.step()
    print("step", step, loss.item())
"""
LOOP = f"for step in range(6):\n{STEP}"


Start = Callable[..., Ran]


def indented(text: str, columns: int = 4) -> str:
    return textwrap.indent(text, " " * columns)


def shown(report: str) -> list[int]:
    """Numbers of the lines in a report's table."""
    return [int(number) for number in re.findall(r"^ *\d+x +(\d+)  ", report, re.MULTILINE)]
