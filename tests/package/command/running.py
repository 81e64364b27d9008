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
# What is said of a script that trains nothing.
NOTHING = (
    NO_LOOP,
    "companion: the script ended before any training",
    "companion: there is no such module",
)

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


BROKEN = {
    "accumulates": {
        "script.py": SETUP + "from engine import train\ntrain(net, optimizer, x, y)\n",
        "engine.py": """
from torch import nn
def train(model, sgd, inputs, labels):
    for _ in range(5):
        nn.functional.mse_loss(model(inputs), labels).backward()  # <- accumulates
        sgd.step()
""",
    },
    "scheduler-first": {
        "script.py": SETUP
        + "scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)\n"
        + "for step in range(4):\n    scheduler.step()  # <- scheduler-first\n"
        + STEP
    },
    "other-parameters": {
        "script.py": SETUP
        + "net = nn.Linear(4, 1)\n"
        + LOOP.replace("optimizer.step()", "optimizer.step()  # <- other-parameters")
    },
}
Start = Callable[..., Ran]


def indented(text: str, columns: int = 4) -> str:
    return textwrap.indent(text, " " * columns)


def shown(report: str) -> list[int]:
    """Numbers of the lines in a report's table."""
    return [int(number) for number in re.findall(r"^ *\d+x +(\d+)  ", report, re.MULTILINE)]


def without_us(err: str) -> list[str]:
    """The lines of stderr that are not ours."""
    return [line for line in err.splitlines() if not line.startswith(NOTHING)]
