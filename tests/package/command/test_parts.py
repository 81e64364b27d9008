"""Networks made of others' layers: in the loop anew each time, or kept beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package.command.running import Start, indented
from tests.package.running import write

HEAD = """
import torch
from torch import nn
torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))
net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
head = nn.Linear(3, 3)
"""
OPTIMIZER = "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
BOTH = "optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.1)\n"
# The optimizer is no call before the first forward: the training begins inside the part.
STEP = """
loss = nn.functional.cross_entropy(out, y)
loss.backward()
optimizer.step()
optimizer.zero_grad()
"""


def loop(*lines: str) -> str:
    return "for step in range(6):\n" + indented("\n".join(lines) + STEP)


MADE = {
    "a slice": (OPTIMIZER + loop("out = net[2](net[:2](x))"), "Sequential"),
    "slices of one layer": (
        OPTIMIZER + loop("out = x", "for i in range(3):", "    out = net[i:i+1](out)"),
        "Sequential",
    ),
    "all but the last": (
        OPTIMIZER + loop("out = net[-1](nn.Sequential(*list(net.children())[:-1])(x))"),
        "Sequential",
    ),
    "a slice beside the whole": (OPTIMIZER + loop("h = net[:2](x)", "out = net(x)"), "Sequential"),
    "the whole once more": (OPTIMIZER + loop("out = nn.Sequential(*net)(x)"), "Sequential"),
    "one around the network": (
        OPTIMIZER + loop("out = nn.Sequential(nn.Flatten(), net)(x)"),
        "Sequential",
    ),
    "one around two": (BOTH + loop("out = nn.Sequential(net, head)(x)"), "net, head"),
    "a wrapper of torch's": (OPTIMIZER + loop("out = nn.DataParallel(net)(x)"), "Sequential"),
    "in a variable of a function": (
        OPTIMIZER
        + "def encode(x):\n    body = net[:2]\n    return body(x)\n"
        + loop("out = net[2](encode(x))"),
        "Sequential",
    ),
    "in the function of a step": (
        "def step(net, optimizer, x, y):\n    body = net[:2]\n    out = net[2](body(x))\n"
        + indented(STEP)
        + "def main():\n"
        + indented(OPTIMIZER + "for _ in range(6):\n    step(net, optimizer, x, y)\n")
        + "main()\n",
        "Sequential",
    ),
    "of a network in an object": (
        "class Task:\n    def __init__(self):\n        self.net = net\n"
        "        self.optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        "    def step(self):\n        optimizer = self.optimizer\n"
        "        out = self.net[2:](self.net[:2](x))\n"
        + indented(STEP, 8)
        + "task = Task()\nfor _ in range(6):\n    task.step()\n",
        "Sequential",
    ),
}
KEPT = {
    "parts, and the whole is gone": (
        OPTIMIZER + "body, top = net[:2], net[2]\ndel net\n" + loop("out = top(body(x))"),
        "body, top",
    ),
    "a part with a head of its own": (
        "body = nn.Sequential(*list(net.children())[:-1])\nhead = nn.Linear(16, 3)\n"
        "optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)\n"
        + loop("out = head(body(x))"),
        "net, body, head",
    ),
    "one around it, in a function": (
        "def main():\n    model = nn.Sequential(nn.Flatten(), nn.Dropout(), net)\n"
        "    train(model)\n"
        "def train(model):\n"
        + indented("optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n")
        + indented(loop("out = model(x)"))
        + "main()\n",
        "Sequential",
    ),
}


ALL = {**MADE, **KEPT}


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("name", ALL)
def test_all_steps_are_watched(name: str, start: Start, tmp_path: Path) -> None:
    text, title = ALL[name]
    write(tmp_path, HEAD + text)
    ran = start("script.py").well()
    assert "companion: watched 3 steps, no findings\n" in ran.err
    told = ran.err.split("Trace of ")[1].split(", ")
    assert {*told[: title.count(",") + 1]} == {*title.split(", ")}
    assert "is gone" not in ran.err
