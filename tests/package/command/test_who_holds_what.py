"""What only the command sees of who holds what: it was there when the optimizer was built."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.package.command.running import Start
from tests.package.running import write

SETUP = """\
import copy
import torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
xs, ys = torch.randn(96, 4), torch.randint(3, (96,))
batches = list(zip(xs.split(8), ys.split(8)))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
    def forward(self, x):
        return self.head(torch.relu(self.body(x)))
"""
LOOP = """\
for x, y in batches:
    opt.zero_grad()
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    opt.step()
"""
SGD = "opt = torch.optim.SGD(net.parameters(), lr=0.1)\n"
FROZEN = (
    "net.body.requires_grad_(False)\n"
    "opt = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)\n"
)

# What was done to it → the rule, what it names, what is to be added.
BROKEN = {
    "a layer more": (
        f"net = nn.Sequential(*Net().children())\n{SGD}net.add_module('last', nn.Linear(3, 3))\n",
        "in-no-optimizer",
        "net.last.weight, net.last.bias",
    ),
    "a new head": (
        f"net = Net()\n{SGD}net.head = nn.Linear(8, 3)\n",
        "other-parameters",
        None,
    ),
    "thawed": (
        f"net = Net()\n{FROZEN}net.requires_grad_(True)\n",
        "in-no-optimizer",
        "net.body.weight, net.body.bias",
    ),
    "a copy": (
        f"net = Net()\n{SGD}net = copy.deepcopy(net)\n",
        "other-parameters",
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)",
    ),
    "another net": (
        f"net = Net()\n{SGD}net = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))\n",
        "other-parameters",
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)",
    ),
}
SOUND = {
    "a head on a body": "net = Net()\nnet.load_state_dict(Net().state_dict())\n"
    "opt = torch.optim.SGD(net.head.parameters(), lr=0.1)\n",
    "a copy beside": f"net = Net()\n{SGD}old = copy.deepcopy(net)\n",
    "thawed and given": f"net = Net()\n{FROZEN}net.requires_grad_(True)\n{SGD}",
    "a new head, then the optimizer": f"net = Net()\nnet.head = nn.Linear(8, 3)\n{SGD}",
    "a judge, made later": f"gen = Net()\n{SGD.replace('net', 'gen')}"
    "judge = nn.Linear(3, 3)\njudge.weight.data.mul_(4)\ndef net(x):\n    return judge(gen(x))\n",
}


def run(start: Start, folder: Path, text: str) -> dict[str, object]:
    write(folder, SETUP + text + LOOP, "script.py")
    ran = start("--json", "report.json", "script.py")
    report: dict[str, object] = json.loads((folder / "report.json").read_text())
    assert ran.code == (3 if report["findings"] else 0)
    return report


@pytest.mark.parametrize("what", BROKEN)
def test_broken(what: str, start: Start, tmp_path: Path) -> None:
    text, rule, added = BROKEN[what]
    findings = run(start, tmp_path, text)["findings"]
    assert isinstance(findings, list)
    (finding,) = findings
    assert (finding["rule"], finding["certain"], finding["source"]) == (rule, True, "opt.step()")
    if added is not None:
        assert added in finding["cure"]


@pytest.mark.parametrize("given", ["", "opt.add_param_group({'params': head.parameters()})\n"])
def test_a_head_that_was_forgotten(given: str, start: Start, tmp_path: Path) -> None:
    text = f"body, head = nn.Linear(4, 8), nn.Linear(8, 3)\n{SGD.replace('net', 'body')}{given}"
    text += "def net(x):\n    return head(torch.relu(body(x)))\n"
    write(tmp_path, SETUP + text + LOOP, "script.py")
    ran = start("script.py")
    assert ran.code == 0
    assert ("possible: in-no-optimizer, line 22, 2 times: opt.step()" in ran.err) is (not given)
    cure = 'cure: opt.add_param_group({"params": [head.weight, head.bias]})'
    assert (cure in ran.err) is (not given)


@pytest.mark.parametrize("what", SOUND)
def test_sound(what: str, start: Start, tmp_path: Path) -> None:
    assert run(start, tmp_path, SOUND[what])["findings"] == []


LATE = "net = Net()\n" + FROZEN
THAW = "    if x is batches[6][0] and not net.body.bias.requires_grad:\n"
THAW += "        net.requires_grad_(True)\n"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", True),
        ("        opt.add_param_group({'params': net.body.parameters()})\n", False),
        ("        second = torch.optim.SGD(net.body.parameters(), lr=0.1)\n", False),
    ],
    ids=["held by nobody", "given", "another optimizer"],
)
def test_thawed_when_no_line_is_watched_any_more(
    more: str, told: bool, start: Start, tmp_path: Path
) -> None:
    loop = LOOP.replace("batches:\n", f"batches * 40:\n{THAW}{more}", 1)
    write(tmp_path, SETUP + LATE + loop, "script.py")
    ran = start("script.py")
    assert ran.code == (3 if told else 0)
    assert ("in-no-optimizer, line 23: opt.step()" in ran.err) is told
    assert "frozen in the watched steps" not in ran.err


def test_thawed_by_a_hook(start: Start, tmp_path: Path) -> None:
    """No line of the loop's shows it: the guard does."""
    hook = "def thaw(module, inputs):\n    thaw.runs = getattr(thaw, 'runs', 0) + 1\n"
    hook += "    if thaw.runs == 7:\n        net.requires_grad_(True)\n"
    loop = LOOP.replace("batches:\n", "batches * 40:\n", 1)
    text = f"{SETUP}{LATE}{hook}net.register_forward_pre_hook(thaw)\n{loop}"
    write(tmp_path, text, "script.py")
    words = r"opt, by step \d+: body\.weight and 1 more, frozen in the watched steps, get gradients"
    assert re.search(words, start("script.py").err)


TWO = """\
body, head = nn.Linear(4, 8), nn.Linear(8, 3)
opt_body, opt_head = (torch.optim.Adam(net.parameters()) for net in (body, head))
for i, (x, y) in enumerate(batches * 40):
    opt_body.zero_grad()
    opt_head.zero_grad()
    loss = F.cross_entropy(head(body(x)), y)
    loss.backward()
    opt_head.step()
"""


@pytest.mark.parametrize("more", ["", "    if i > 9:\n        opt_body.step()\n"])
def test_an_optimizer_that_never_steps(more: str, start: Start, tmp_path: Path) -> None:
    write(tmp_path, SETUP + TWO + more, "script.py")
    ran = start("script.py")
    assert ran.code == 0
    told = "guard: opt_body: it never stepped, while other optimizers made 480 steps" in ran.err
    assert told is (not more)
