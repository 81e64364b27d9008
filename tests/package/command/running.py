"""Scripts that are run by the command, by Python alone, or in a fork of one that has torch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.package import loops

REAL = sorted(Path(loops.__file__).parent.glob("real_*.py"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
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
