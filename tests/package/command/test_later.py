"""`python -m companion script.py`: lines that first run when the watched steps are long over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.package.command.running import Start, indented
from tests.package.command.whole import LOOP, START
from tests.package.running import write

RANDOM = START.replace("nn.ReLU()", "nn.ReLU(), nn.Dropout(0.1)")
VALIDATE = """
def validate(model):
    total = 0.0
    for a, b in loader:
        total += cross_entropy(model(a), b).item()  # <-
    return total / 12
"""
IN_FUNCTIONS = f"""
def train_epoch(model, optimizer):
    model.train()
    for a, b in loader:
        optimizer.zero_grad()
        cross_entropy(model(a), b).backward()
        optimizer.step()
{VALIDATE}
for epoch in range(epochs):
    train_epoch(net, sgd)
    print(validate(net))
"""
SUMMED = """\
    total = sum(cross_entropy(net(a), b) for a, b in loader)  # <-
    print(total.item())
"""
THAWED = """
net[0].requires_grad_(False)
sgd = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
for epoch in range(epochs):
    if epoch == 1:
        net[0].requires_grad_(True)
    for a, b in loader:
        sgd.zero_grad()
        loss = cross_entropy(net(a), b)
        loss.backward()
        sgd.step()  # <-
"""
BROKEN = {
    "a function tests in training mode": (
        RANDOM + VALIDATE + LOOP + "    print(validate(net))\n",
        "(evaluation-in-train-mode)",
    ),
    "training is a function": (RANDOM + IN_FUNCTIONS, "(evaluation-in-train-mode)"),
    "in eval mode with a graph": (
        RANDOM + LOOP + "    net.eval()\n" + SUMMED + "    net.train()\n",
        "(graph-unused)",
    ),
    "a sum of graphs": (START + LOOP + SUMMED, "(graph-unused)"),
    "every third epoch": (
        START.replace("epochs = 3", "epochs = 6")
        + LOOP
        + f"    if epoch % 3 == 2:\n{indented(SUMMED)}",
        "(graph-unused)",
    ),
    "thawed": (START + THAWED, "in-no-optimizer"),
}
SOUND = {
    "in eval mode": RANDOM
    + LOOP
    + "    net.eval()\n    with torch.no_grad():\n"
    + indented(SUMMED)
    + "    net.train()\n",
    "the last loss is printed": RANDOM + LOOP + "    print(loss.item())\n",
    "a mean teacher is made": RANDOM
    + LOOP
    + "    state = {key: value.clone() for key, value in net.state_dict().items()}\n",
    "on other labels every epoch": START
    + LOOP
    + "    for a, b in loader:\n        sgd.zero_grad()\n"
    "        cross_entropy(net(a), 2 - b).backward()\n        sgd.step()\n",
    "a second backward for a penalty": START
    + LOOP
    + "    sgd.zero_grad()\n    sum(p.square().sum() for p in net.parameters()).backward()\n"
    "    sgd.step()\n",
    "a tracer of its own": "import sys\nseen = []\n"
    "def hear(frame, event, value):\n"
    "    if frame.f_code.co_name == 'called':\n        seen.append(event)\n        return hear\n"
    "def called():\n    return 1\n"
    + START
    + LOOP
    + "    sys.settrace(hear)\n    called()\n    print(seen)\n    sys.settrace(None)\n",
    "a process of its own": "import os\n"
    + START
    + LOOP
    + "    if (child := os.fork()) == 0:\n        cross_entropy(net(x), y).backward()\n"
    "        sgd.step()\n        os._exit(0)\n    print(os.waitpid(child, 0)[1])\n",
    "workers": START.replace("batch_size=4", "batch_size=4, num_workers=1").replace(
        "epochs = 3", "epochs = 2"
    )
    + LOOP
    + "    print(loss.item())\n",
    "an exception at the end of an epoch": START
    + "def check(epoch):\n    if epoch:\n        raise ValueError(epoch)\n"
    + LOOP
    + "    try:\n        check(epoch)\n    except ValueError as error:\n        print(error)\n",
    "the network goes": START + LOOP + "print(len(list(net.parameters())))\ndel net, sgd, loss\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken(kind: str, start: Start, tmp_path: Path) -> None:
    text, rule = BROKEN[kind]
    write(tmp_path, text, "script.py")
    ran = start("--json", "report.json", "script.py")
    report = json.loads((tmp_path / "report.json").read_text())
    (line,) = (n for n, one in enumerate(text.splitlines(), 1) if one.endswith("# <-"))
    (finding,) = report["findings"]
    said = finding["rule"] if finding["certain"] else f"({finding['rule']})"
    assert (said, finding["line"]) == (rule, line)
    assert "watched 3 steps, no findings\n" in ran.err
    assert "now that the script is over, 1 finding\n" in ran.err
    assert ran.out == start("script.py", alone=True).out


@pytest.mark.parametrize("kind", SOUND)
def test_sound(kind: str, start: Start, tmp_path: Path) -> None:
    write(tmp_path, SOUND[kind], "script.py")
    alone = start("script.py", alone=True)
    ran = start("--json", "report.json", "script.py")
    assert (ran.code, ran.out) == (0, alone.out)
    assert json.loads((tmp_path / "report.json").read_text())["findings"] == []


def test_without_a_guard_nothing_is_looked_at_later(start: Start, tmp_path: Path) -> None:
    write(tmp_path, BROKEN["a sum of graphs"][0], "script.py")
    ran = start("--no-guard", "script.py")
    assert "watched 3 steps, no findings\n" in ran.err
    assert "now that" not in ran.err
