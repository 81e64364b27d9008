"""`python -m companion script.py`: what it says."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from tests.package.command.running import (
    BROKEN,
    LOOP,
    NO_LOOP,
    REAL,
    SETUP,
    STEP,
    Start,
    indented,
    shown,
)
from tests.package.running import write


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
@pytest.mark.usefixtures("source")
def test_real_scripts(path: Path, start: Start, tmp_path: Path) -> None:
    alone = start(str(path), alone=True)
    ran = start("--json", "report.json", str(path))
    assert ran.code == alone.code == 0
    assert ran.out == alone.out
    called = r"( \(they called closure\(\) \d+ times\))?" if "lbfgs" in path.stem else ""
    assert re.match(rf"companion: watched 3 steps{called}, no findings\nTrace of ", ran.err)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["steps"] == 3
    assert report["findings"] == []
    lines = path.read_text().splitlines()
    code = [lines[number - 1] for number in shown(ran.err)]
    assert any("backward()" in line for line in code)


@pytest.mark.parametrize("rule", BROKEN)
def test_broken_scripts(rule: str, start: Start, tmp_path: Path) -> None:
    for name, text in BROKEN[rule].items():
        write(tmp_path, text, name)
    alone = start("script.py", alone=True)
    ran = start("--json", "report.json", "script.py")
    assert (alone.code, ran.code) == (0, 3)
    assert ran.out == alone.out
    (finding,) = json.loads((tmp_path / "report.json").read_text())["findings"]
    (wanted,) = (
        (str(tmp_path / name), number)
        for name, text in BROKEN[rule].items()
        for number, line in enumerate(text.splitlines(), 1)
        if line.endswith(f"# <- {rule}")
    )
    assert finding["rule"] == rule
    assert finding["certain"]
    assert (finding["file"], finding["line"]) == wanted
    assert f"\n\n{rule}, line {wanted[1]}" in ran.err
    assert "1 finding\n" in ran.err


LIBRARY = """
import torch
class Trainer:
    def fit(self, task, data):
        optimizer = task.configure_optimizers()
        for batch in data:
            loss = task.training_step(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
def fit(net, data):
    optimizer = torch.optim.Adam(net.parameters())
    for x, y in data:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()
class Wrapper(torch.optim.Optimizer):
    def __init__(self, optimizer):
        self.optimizer = optimizer
    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)
    def zero_grad(self, set_to_none=True):
        self.optimizer.zero_grad()
    def step(self, closure=None):
        self.optimizer.step()
"""
TASK = """
class Task(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    def training_step(self, batch):
        x, y = batch
        return nn.functional.mse_loss(self.net(x), y)
"""
METHOD = "    def {}(self):\n" + indented(LOOP, 8)
FUNCTION = "def train():\n" + indented(LOOP)
# Script → what stands in its table.
WATCHED = {
    "a main()": (SETUP + FUNCTION + "if __name__ == '__main__':\n    train()\n", "3x     9 "),
    "callable object": (
        SETUP + f"class Trainer:\n{METHOD.format('__call__')}Trainer()()",
        "optimizer.step()  ",
    ),
    "trains when built": (
        SETUP + f"class Trainer:\n{METHOD.format('__init__')}Trainer()",
        "optimizer.step()  ",
    ),
    "attributes that are always there": (
        SETUP
        + "class Trainer(dict):\n    def __getattr__(self, name):\n        return self[name]\n"
        + f"{METHOD.format('train')}Trainer().train()",
        "optimizer.step()  ",
    ),
    "a network that hands on": (
        SETUP
        + """
class Wrapper(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inner, name)
    def forward(self, x):
        return self.inner(x)
net = Wrapper(net)
print(net.training)
"""
        + LOOP,
        "Trace of Wrapper, 4 parameters",
    ),
    "a comprehension": (
        SETUP + f"def one(step):\n{STEP}print([one(i) or i for i in range(6)])\n",
        "optimizer.step()  ",
    ),
    "a coroutine": (
        SETUP
        + f"import asyncio\nasync def train():\n{indented(LOOP)}        await asyncio.sleep(0)\n"
        + "asyncio.run(train())\n",
        "await asyncio.sleep(0)",
    ),
    "a dummy forward": (
        SETUP.replace("nn.Linear(4, 8)", "nn.LazyLinear(8)").replace(
            "optimizer =", "net(torch.ones(1, 4))\noptimizer ="
        )
        + LOOP,
        "3x     8 ",
    ),
    "evaluated first": (
        SETUP
        + "@torch.no_grad()\ndef evaluate():\n    net.eval()\n    value = net(x).sum()\n"
        + "    net.train()\n    return value.item()\nprint(evaluate())\n"
        + LOOP
        + "    print(evaluate())\n",
        "# evaluate, script.py",
    ),
    "two optimizers": (
        SETUP
        + "head = nn.Linear(1, 1)\nother = torch.optim.Adam(head.parameters())\n"
        + LOOP.replace("net(x)", "head(net(x))")
        + "    other.step()\n    other.zero_grad()\n",
        "Trace of net, head, 6 parameters",
    ),
    "an update by hand": (
        SETUP.replace("optimizer = torch.optim.SGD(net.parameters(), lr=0.1)", "")
        + """
for step in range(6):
    nn.functional.mse_loss(net(x), y).backward()
    with torch.no_grad():
        for p in net.parameters():
            p -= 0.1 * p.grad
            p.grad = None
""",
        "p -= 0.1 * p.grad  ",
    ),
    "a library calls the steps": (
        "import library\n" + SETUP + TASK + "library.Trainer().fit(Task(), [(x, y)] * 9)\n",
        " inside library.Trainer.fit(), no findings\nyour line: ",
    ),
    "a loop in a library": (
        "import library\n" + SETUP + "library.fit(net, [(x, y)] * 99)\n",
        " inside library.fit(), no findings\nyour line: ",
    ),
    "a wrapped optimizer": (
        "import library\n" + SETUP + "optimizer = library.Wrapper(optimizer)\n" + LOOP,
        "optimizer.step()  ",
    ),
    "compiled": (SETUP + 'net = torch.compile(net, backend="eager")\n' + LOOP, "OptimizedModule"),
    "jit": (
        "import warnings; warnings.simplefilter('ignore')\n"
        + SETUP
        + "net = torch.jit.trace(net, x)\n"
        + LOOP,
        "RecursiveScriptModule",
    ),
    "another loop after it": (
        SETUP
        + LOOP
        + "head = nn.Linear(4, 1)\nother = torch.optim.Adam(head.parameters())\n"
        + "for _ in range(3):\n    head(x).sum().backward()\n    other.step()\n",
        "companion: not watched: Adam.step(), line 17 of script.py: only the first loop's first ",
    ),
    "a thread": (
        SETUP
        + FUNCTION
        + "import threading\nt = threading.Thread(target=train)\nt.start()\nt.join()\n",
        "companion: no training loop was watched\n"
        "companion: not watched: SGD.step(), line 12 of script.py: only the main thread is ",
    ),
    "tracing taken over": (
        SETUP + "import sys\nsys.settrace(lambda *_: None)\n" + LOOP,
        "had taken Python's tracing over",
    ),
    "tracing taken over later": (
        SETUP
        + "import sys\nfor step in range(6):\n    sys.settrace(None)\n"
        + "    sys._getframe().f_trace = None\n"
        + STEP,
        "something else",
    ),
    "no network": (
        "import torch\nw = torch.ones(2, requires_grad=True)\nsgd = torch.optim.SGD([w], lr=0.1)\n"
        "for _ in range(4):\n    w.sum().backward()\n    sgd.step()\n",
        "it moves parameters of no network",
    ),
    "no loop": ("print('nothing')\n", NO_LOOP),
    "no training": (SETUP + "print(net(x).sum().item())\n", "Trace of Sequential"),
    "failures that live on": (
        SETUP
        + """
class BadNet(nn.Module):
    def __init__(self):
        raise ValueError(self)
class BadOptimizer(torch.optim.SGD):
    def __init__(self):
        super().__init__([], lr=1)
kept = []
for bad in BadNet, BadOptimizer:
    try:
        bad()
    except ValueError as error:
        kept.append(error)
"""
        + LOOP,
        "watched 3 steps, no findings",
    ),
    "workers": (
        """
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
class Numbers(Dataset):
    def __len__(self):
        return 36
    def __getitem__(self, i):
        return torch.full((4,), i / 36), torch.tensor([i / 36])
if __name__ == "__main__":
    torch.manual_seed(0)
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for method in "fork", "spawn":
        loader = DataLoader(Numbers(), 4, num_workers=1, multiprocessing_context=method)
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
            print(loss.item())
""",
        "watched 3 steps, no findings",
    ),
    "other processes": (
        "import torch.multiprocessing as mp\nimport os\n"
        + SETUP
        + "def train(rank=0):\n"
        + indented(LOOP)
        + """\
    sys.stdout.flush()
import sys
if __name__ == "__main__":
    mp.spawn(train, nprocs=1)
    child = mp.get_context("fork").Process(target=train)
    child.start()
    child.join()
    sys.stdout.flush()
    if os.fork() == 0:
        train()
    else:
        os.wait()
""",
        NO_LOOP,
    ),
    "stderr and stdout elsewhere": (
        SETUP
        + "import contextlib, io, sys\nbuffer, sys.stdout = io.StringIO(), None\n"
        + f"with contextlib.redirect_stderr(buffer):\n{indented(LOOP)}"
        + "sys.stdout = sys.__stdout__\nprint(repr(buffer.getvalue()))\n",
        "watched 3 steps, no findings",
    ),
}


@pytest.mark.parametrize("name", WATCHED)
def test_what_is_watched(name: str, start: Start, tmp_path: Path, source: str) -> None:
    text, words = WATCHED[name]
    if source == "monitoring" and name.startswith("tracing taken over"):
        words = "companion: watched 3 steps, no findings"  # it is not Python's trace function
    write(tmp_path, LIBRARY, "site-packages/library.py")
    library = "import sys; sys.path.append('site-packages'); "
    write(tmp_path, library + text if "import library" in text else text)
    ran = start("script.py")
    if "spawn" in text:  # which needs a `__main__` of Python's own
        assert (ran.code, len(ran.out.splitlines())) == (0, 18)
    else:
        alone = start("script.py", alone=True)
        assert ran.code == alone.code == 0
        assert ran.out == alone.out
    assert words in ran.err
    said = re.sub(r".*RuntimeWarning: Guards may run slower on Python 3.13.0.*\n.*\n", "", ran.err)
    assert said.count("companion: ") == said.count("\ncompanion: ") + 1  # nothing before it
    assert len(re.findall("companion: (watched|no training|no step)", ran.err)) == 1


@pytest.mark.usefixtures("source")
def test_a_script_with_a_trace_of_its_own(start: Start, tmp_path: Path) -> None:
    """That one begins before the training does, and both see all of it."""
    loop = LOOP.replace("    optimizer.zero_grad()\n", "")
    write(
        tmp_path,
        f"{SETUP}import companion\nwith companion.trace(net, optimizer) as routine:\n"
        f"{indented(loop)}\n"
        "print([one.rule for one in routine.diagnose()], routine.unwatched)\n",
    )
    alone = start("script.py", alone=True)
    ran = start("script.py")
    assert alone.out.splitlines()[-1] == "['accumulates'] []"
    assert ran.out == alone.out
    assert ran.code == 3
    assert "companion: watched 3 steps, 1 finding" in ran.err


SPAWNED = """
import torch, torch.multiprocessing as mp
from torch import nn
def work(rank):
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(5):
        loss = net(torch.ones(8, 4)).square().mean()
        loss.backward()
        optimizer.step()
if __name__ == "__main__":
    {start}
    print("done")
"""
STARTS = {
    "spawn": "mp.spawn(work, nprocs=2)",
    "fork": 'mp.start_processes(work, nprocs=2, start_method="fork")',
}


@pytest.mark.parametrize(
    ("how", "followed"),
    [("spawn", False), pytest.param("spawn", True, marks=pytest.mark.weekly), ("fork", True)],
)
def test_processes_that_a_script_starts_are_named(
    start: Start, tmp_path: Path, how: str, followed: bool
) -> None:
    """What is said of them is what to do: edited so, the script shows the loop."""
    text = SPAWNED.replace("{start}", STARTS[how])
    write(tmp_path, text)
    ran = start("script.py").well()
    assert ran.out == "done\n"
    assert ran.err.count("companion:") == 2, ran.err
    assert "companion: work() ran in 2 processes that this script started, where it" in ran.err
    assert "edit work(): " in ran.err
    around, below = re.findall(r"`(with .*:)` around the loop, and below it (\S+),", ran.err)[0]
    if not followed:
        return
    head, loop = text.partition("    for step")[::2]
    body, rest = loop.partition("if __name__")[::2]
    loop = textwrap.indent("    for step" + body, "    ")
    shown = f"    {around}\n{loop}    if rank == 1:\n        {below}\nif __name__"
    write(tmp_path, "import companion" + head + shown + rest)
    ran = start("script.py").well()
    assert ran.out.startswith("Trace of Linear, 2 parameters, script.py\n"), ran.out
    assert ran.out.count("\naccumulates, line ") == 1, ran.out
    assert ran.out.endswith("done\n")
