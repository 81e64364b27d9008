"""The script runs as it would alone."""

from __future__ import annotations

import json
import os
import py_compile
import zipfile
from pathlib import Path

import pytest

from tests.package.command.running import BROKEN, LOOP, NOTHING, SETUP, STEP, Start, without_us
from tests.package.running import forks, python, write

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
    report = [line for line in ran.err.splitlines(keepends=True) if not line.startswith(NOTHING)]
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
        said = without_us(ran.err)
        assert (name, said) == (name, alone.err.splitlines())
    for name, arguments in started(SETUP + LOOP, tmp_path).items():
        ran = start(*arguments)
        assert (name, ran.code) == (name, 0)
        assert "optimizer.step()  " in ran.err, name


@pytest.mark.parametrize(
    "opened",
    [
        "os.dup2(os.open('script.py', os.O_RDONLY), 0); name = '-'",  # < script.py
        "os.dup2(piped(), 0); name = '-'",  # cat script.py |
        "name = f'/dev/fd/{piped()}'",  # <(cat script.py)
    ],
)
@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no /dev/fd on this system")
def test_from_a_pipe(tmp_path: Path, opened: str) -> None:
    """`python -` and `python <(...)` read it once: its lines are shown all the same."""
    write(tmp_path, SETUP + LOOP)
    code = f"""
import os
from pathlib import Path
from companion.__main__ import main
def piped():
    out, into = os.pipe()
    os.write(into, Path("script.py").read_bytes())
    os.close(into)
    return out
{opened}
main([name, "a"])
"""
    ran = forks().run(tmp_path, code, how="code").well()
    assert "optimizer.step()  " in ran.err
    assert len(ran.out.splitlines()) == 6


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
    ran = start("--steps", "99", "script.py").well()
    assert ran.err.startswith("companion: watched 6 steps, no findings")
    assert not (tmp_path / "data").read_text()
