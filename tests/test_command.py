"""`python -m companion script.py`: what it says, and that the script runs as it would alone.

Most scripts run in a fork of one process that has imported torch (`started`): that import takes
longer than all the rest.
"""

from __future__ import annotations

import json
import os
import py_compile
import re
import shlex
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
REAL = sorted((ROOT / "tests/loops").glob("real_*.py"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
NO_LOOP = "companion: no training loop ran in this process"

SERVER = """
import json, os, runpy, signal, sys
import torch._dynamo
from companion.__main__ import main

for line in sys.stdin:
    alone, closed, whole, variables, folder, arguments = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.environ.update(variables)
signal.alarm(100)
signal.signal(signal.SIGINT, signal.default_int_handler)
os.chdir(folder)
os.dup2(os.open("stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
if closed:
    out, into = os.pipe()
    os.close(out)
    os.dup2(into, 1)
code = 0
try:
    if alone:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.path[0] = folder
        main(arguments)
except SystemExit as error:
    if whole or not (error.code is None or isinstance(error.code, int)):
        raise
    code = error.code
sys.stdout.flush()
os._exit(code or 0)  # torch takes a second to end as it should
"""

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


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Start = Callable[..., Ran]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    folder = tmp_path_factory.mktemp("server")
    write(folder, SERVER, "server.py")
    with subprocess.Popen(
        [sys.executable, str(folder / "server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def start(server: subprocess.Popen[str], tmp_path: Path) -> Start:
    """Run a script with the command in a process of its own, or alone."""

    def run(
        *arguments: str,
        alone: bool = False,
        closed: bool = False,
        whole: bool = False,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Ran:
        assert server.stdin is not None
        assert server.stdout is not None
        asked = [alone, closed, whole, dict(variables), str(tmp_path), arguments]
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return Ran(code, (tmp_path / "stdout").read_text(), (tmp_path / "stderr").read_text())

    return run


def python(folder: Path, *command: str) -> Ran:
    """Run Python itself."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def write(folder: Path, text: str, name: str = "script.py") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def indented(text: str, columns: int = 4) -> str:
    return textwrap.indent(text, " " * columns)


def shown(report: str) -> list[int]:
    """Numbers of the lines in a report's table."""
    return [int(number) for number in re.findall(r"^ *\d+x +(\d+)  ", report, re.MULTILINE)]


# What it says.


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_scripts(path: Path, start: Start, tmp_path: Path) -> None:
    alone = start(str(path), alone=True)
    ran = start("--json", "report.json", str(path))
    assert ran.code == alone.code == 0
    assert ran.out == alone.out
    assert ran.err.startswith("companion: watched 3 steps, no findings\nTrace of ")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["steps"] == 3
    assert report["findings"] == []
    lines = path.read_text().splitlines()
    code = [lines[number - 1] for number in shown(ran.err)]
    assert any("backward()" in line for line in code)


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
        "library.Trainer().fit(Task(), [(x, y)] * 9)    2 changed",
    ),
    "a loop in a library": (
        "import library\n" + SETUP + "library.fit(net, [(x, y)] * 99)\n",
        "not watched: the lines of the loop itself: ",
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
def test_what_is_watched(name: str, start: Start, tmp_path: Path) -> None:
    text, words = WATCHED[name]
    write(tmp_path, text)
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
    assert len(re.findall("companion: (watched|no training)", ran.err)) == 1


# That the script runs as it would alone.

AS_ALONE = """\
import dataclasses, inspect, pickle, random, sys, typing, warnings

@dataclasses.dataclass
class Config:
    rate: float = 0.1

def deprecated():
    warnings.warn("inner", DeprecationWarning, stacklevel=2)

print(__name__, __file__, __spec__, __doc__, __package__, __cached__, __builtins__)
print(__loader__.path, sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
print(Config.__annotations__, sys.excepthook is sys.__excepthook__, inspect.getsource(Config))
print(pickle.dumps(Config()), len(inspect.stack()) > 0, random.Random(0).random())
warnings.warn("here")
deprecated()
"""


def test_script_finds_all_as_alone(start: Start, tmp_path: Path) -> None:
    write(tmp_path, AS_ALONE, "some folder/a script.py")
    for path in "some folder/a script.py", "some folder/../some folder/a script.py":
        alone = python(tmp_path, path, "--json", "-m", "--", "a b")
        ran = start(path, "--json", "-m", "--", "a b")
        assert ran.code == alone.code == 0
        assert ran.out == alone.out
        assert ran.err.startswith(alone.err)
        assert "DeprecationWarning: inner\n  deprecated()" in ran.err


ARGUMENTS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--stop", action="store_true")
parser.add_argument("--steps")
parser.add_argument("rest", nargs="*")
print(parser.parse_args())
"""


def test_arguments_are_the_scripts(start: Start, tmp_path: Path) -> None:
    write(tmp_path, ARGUMENTS)
    for given in (["--help"], ["--stop", "--steps", "9", "--", "--json"], ["--", "-m"], ["--bad"]):
        alone = python(tmp_path, "script.py", *given)
        ran = start("--steps", "2", "script.py", *given)
        assert (ran.code, ran.out) == (alone.code, alone.out)
        assert ran.err.endswith(alone.err) or alone.err in ran.err


def test_own_arguments(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "print(1)")
    for given, words in (
        (["none.py"], "no such script: 'none.py'; to run a module: -m none.py"),
        (["--steps", "0", "script.py"], "must be 1 or more, not 0"),
        (["--json", "none/report.json", "script.py"], "no file can be written there"),
        (["--html", ".", "script.py"], "no file can be written there: --html"),
        ([], "the following arguments are required"),
    ):
        ran = start(*given)
        assert ran.code == 2
        assert words in ran.err
        assert not ran.out


FAILURES = {
    "syntax": "x = 1\ndef f(:\n    pass\n",
    "cause and notes": """
try:
    raise KeyError("first")
except KeyError as error:
    second = RuntimeError("second")
    second.__notes__ = ["a note"]
    raise second from error
""",
    "exit": "import sys\nsys.exit(7)\n",
    "exit with words": "import sys\nsys.exit('words')\n",
    "exit with a float": "import sys\nsys.exit(0.0)\n",
    "own hook": """
import sys, traceback
def hook(kind, error, where):
    traceback.print_exception(kind, error, where)
    print("hook", len(traceback.extract_tb(where)))
sys.excepthook = hook
1 / 0
""",
    "no clean end": "import os\nos.write(1, b'written')\nos._exit(4)\n",
    "at exit": """
import atexit, pickle, sys
class Kept: pass
atexit.register(lambda: print(pickle.dumps(Kept()), sys.argv))
raise SystemExit(0)
""",
    "not utf-8": "# \xe9".encode("latin-1").decode("utf-8", "replace") + "\n1 / 0\n",
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_as_alone(name: str, start: Start, tmp_path: Path) -> None:
    write(tmp_path, FAILURES[name])
    alone = python(tmp_path, "script.py")
    ran = start("script.py", whole=True)
    assert ran.code == alone.code
    assert ran.out == alone.out
    report = [line for line in ran.err.splitlines(keepends=True) if not line.startswith(NO_LOOP)]
    assert "".join(report) == alone.err


IN_THE_LOOP = (
    SETUP
    + """
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        if i == 3:
            raise ValueError("bad item")
        return x, y
loader = torch.utils.data.DataLoader(Numbers(), num_workers=1)
for step, (x, y) in enumerate(loader):
"""
    + STEP
)


def test_failure_in_the_loop(start: Start, tmp_path: Path) -> None:
    """A worker's exception, that comes while the loop is watched."""
    write(tmp_path, IN_THE_LOOP)
    script = str(tmp_path / "script.py")
    alone = start(script, alone=True)
    ran = start("--json", "report.json", script)
    assert ran.code == alone.code == 1
    assert ran.out == alone.out
    own = alone.err[alone.err.index(f'  File "{script}"') :]
    assert own.endswith("ValueError: bad item\n\n")
    assert ran.err.endswith("Traceback (most recent call last):\n" + own)
    assert "raised ValueError: Caught ValueError in DataLoader worker process 0." in ran.err
    assert json.loads((tmp_path / "report.json").read_text())["steps"] == 3


BITS = """\
import hashlib, random
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
net = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 1))
optimizer = torch.optim.AdamW(net.parameters())
random.seed(1)
data = TensorDataset(torch.rand(40, 4), torch.rand(40, 1))
for epoch in range(3):
    for x, y in DataLoader(data, 8, shuffle=True):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
whole = [*net.state_dict().values(), *(p.grad for p in net.parameters()), torch.get_rng_state()]
print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in whole)).hexdigest())
print(random.random(), torch.rand(1).item(), len(optimizer._optimizer_step_post_hooks))
"""


def test_the_same_to_the_last_bit(start: Start, tmp_path: Path) -> None:
    write(tmp_path, BITS)
    alone = start("script.py", alone=True)
    for given in [], ["--steps", "1"], ["--steps", "99"]:
        ran = start(*given, "script.py")
        hashes, numbers = ran.out.splitlines()
        assert [hashes, *numbers.split()[:2]] == [
            alone.out.splitlines()[0],
            *alone.out.splitlines()[1].split()[:2],
        ]
        if given != ["--steps", "99"]:
            assert ran.out == alone.out  # no hook of ours is left
            assert ran.err.startswith(f"companion: watched {'1 step' if given else '3 steps'}, ")


NAMED = """\
import sys
print(list(globals()), __name__, __file__, __doc__, __package__, __cached__, __annotations__)
print(type(__loader__).__name__, __spec__ and __spec__.name, sys.argv, sys.path[0])
print(1 / 0)
"""


def started(text: str, folder: Path) -> dict[str, list[str]]:
    """The same script in all forms that Python takes, by name: how it is started."""
    write(folder, text, "s.py")
    write(folder, text, "app/__main__.py")
    with zipfile.ZipFile(folder / "app.zip", "w") as file:
        file.writestr("__main__.py", text)
    py_compile.compile(str(folder / "s.py"), str(folder / "s.pyc"), doraise=True)
    return {
        "a file": ["s.py"],
        "a folder": ["app"],
        "a zip": ["app.zip"],
        "compiled": ["s.pyc"],
        "after --": ["--", "s.py"],
    }


def test_whatever_python_runs(start: Start, tmp_path: Path) -> None:
    for name, arguments in started(NAMED, tmp_path).items():
        alone = python(tmp_path, *arguments, "-a", "b")
        ran = start(*arguments, "-a", "b", whole=True)
        assert (name, ran.code, ran.out) == (name, alone.code, alone.out)
        said = [line for line in ran.err.splitlines() if not line.startswith(NO_LOOP)]
        assert (name, said) == (name, alone.err.splitlines())
    for name, arguments in started(SETUP + LOOP, tmp_path).items():
        ran = start(*arguments)
        assert (name, ran.code) == (name, 0)
        assert "optimizer.step()  " in ran.err, name


def test_from_a_pipe(tmp_path: Path) -> None:
    """`python -` and `python <(...)` read it once: its lines are shown all the same."""
    write(tmp_path, SETUP + LOOP)
    out = []
    for command in (
        "{0} - a < script.py", "cat script.py | {0} - a", "{0} <(cat script.py) a"
    ):  # fmt: skip
        watching = command.format(f"{shlex.quote(sys.executable)} -m companion")
        done = subprocess.run(
            ["bash", "-c", watching],
            cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "optimizer.step()  " in done.stderr
        out.append(done.stdout)
    assert len(set(out)) == 1
    assert len(out[0].splitlines()) == 6


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({}, 3),
        ({"WORLD_SIZE": "1"}, 3),
        ({"WORLD_SIZE": "2"}, 0),
        ({"RANK": "0"}, 0),
        ({"TORCHELASTIC_RUN_ID": "none"}, 0),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, 0),
        ({"SLURM_NTASKS": "2"}, 0),
    ],
)
def test_one_of_several_processes_ends_none_of_the_others(
    variables: dict[str, str], code: int, start: Start, tmp_path: Path
) -> None:
    write(tmp_path, BROKEN["other-parameters"]["script.py"])
    ran = start("script.py", variables=variables)
    assert ran.code == code
    assert "other-parameters, line" in ran.err


def test_the_report_goes_where_stderr_went(start: Start, tmp_path: Path) -> None:
    """A script that closes stderr may open a file of its own under that number."""
    end = "import os\nos.close(2)\nfile = open('data', 'w')\nassert file.fileno() == 2\n"
    write(tmp_path, SETUP + LOOP + end)
    ran = start("--steps", "99", "script.py")
    assert ran.code == 0
    assert ran.err.startswith("companion: watched 6 steps, no findings")
    assert not (tmp_path / "data").read_text()


# --stop, --json, and what ends it.


def test_stop(start: Start, tmp_path: Path) -> None:
    write(tmp_path, SETUP + "try:\n" + indented(LOOP) + "finally:\n    print('cleaned up')\n")
    ran = start("--stop", "--steps", "1", "script.py")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()] == [["step", "0"], ["cleaned", "up"]]
    assert ran.err.startswith("companion: watched 1 step, no findings")
    write(tmp_path, BROKEN["scheduler-first"]["script.py"])
    ran = start("--stop", "--steps", "2", "script.py")
    assert ran.code == 3
    assert len(ran.out.splitlines()) == 2
    write(tmp_path, BROKEN["other-parameters"]["script.py"].replace("range(6)", "range(99)"))
    ran = start("--stop", "script.py")  # no line of it ever moves a watched parameter
    assert ran.code == 3
    assert len(ran.out.splitlines()) < 20


def test_stop_is_caught(start: Start, tmp_path: Path) -> None:
    text = indented(STEP) + "    except:\n        print('caught')\n"
    write(tmp_path, SETUP + "for step in range(7):\n    try:\n" + text)
    ran = start("--stop", "--steps", "2", "script.py")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["step"] * 2 + ["caught"] * 5
    assert ran.err.count("the script caught the SystemExit of --stop") == 1


def test_json(start: Start, tmp_path: Path) -> None:
    """It is written where the command was given, wherever the script goes."""
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path, "import os\nos.chdir('elsewhere')\n" + SETUP + LOOP)
    start("--steps", "2", "--json", "report.json", "script.py")
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    assert report == {
        "script": "script.py", "steps": 2, "lines": 12, "findings": [], "unwatched": [],
    }  # fmt: skip


def test_html(start: Start, tmp_path: Path) -> None:
    """A page that plays the watched steps; none where nothing was watched."""
    write(tmp_path, SETUP + LOOP)
    ran = start("--steps", "2", "--html", "loop.html", "script.py")
    assert ran.code == 0
    page = (tmp_path / "loop.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("data-place=") == 12
    write(tmp_path, "print(1)")
    start("--html", "none.html", "script.py")
    assert not (tmp_path / "none.html").exists()


def test_stdout_closed(start: Start, tmp_path: Path) -> None:
    """As in `python -m companion script.py | head -1`."""
    write(tmp_path, SETUP + LOOP)
    alone = start("script.py", alone=True, closed=True)
    ran = start("script.py", closed=True)
    assert ran.code == alone.code != 0
    assert ran.err.startswith("companion: watched ")
    assert ran.err.splitlines()[-1] == alone.err.splitlines()[-1]


# Python itself, as a reader starts it.


def test_interrupted(tmp_path: Path) -> None:
    """Python ends itself by the signal, which no fork of another process shows."""
    write(
        tmp_path,
        "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n",
    )
    alone = python(tmp_path, "script.py")
    ran = python(tmp_path, "-m", "companion", "script.py")
    assert ran.code == alone.code
    assert ran.err.splitlines()[1:] == alone.err.splitlines()


def test_module(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "", "package/__init__.py")
    write(tmp_path, "from . import engine\nengine.run()\nprint(__file__)\n", "package/__main__.py")
    write(tmp_path, SETUP + "def run():\n" + indented(LOOP), "package/engine.py")
    write(tmp_path, "import sys\nprint(__spec__.name, sys.argv)\n1 / 0\n", "package/fails.py")
    ran = python(tmp_path, "-m", "companion", "-m", "package")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 7
    assert ran.out.endswith(str(tmp_path / "package/__main__.py") + "\n")
    assert ran.err.startswith("companion: watched 3 steps, no findings")
    assert "engine.py" in ran.err
    for name in "package.fails", "package.none", "none":
        alone = python(tmp_path, "-m", name, "-m", "x")
        ran = start("-m", name, "-m", "x")
        assert (ran.code, ran.out) == (alone.code, alone.out)
        assert [
            line for line in ran.err.splitlines() if not line.startswith(NO_LOOP)
        ] == alone.err.splitlines()


def test_coverage_goes_on(tmp_path: Path) -> None:
    write(tmp_path, SETUP + LOOP)
    ran = python(tmp_path, "-m", "coverage", "run", "-m", "companion", "script.py")
    assert ran.code == 0
    assert "companion: watched 3 steps, no findings" in ran.err
    python(tmp_path, "-m", "coverage", "json", "-q", "-o", "report.json", "--include=script.py")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["files"]["script.py"]["missing_lines"] == []
