"""Run `post.py` as in 2020, and write down what it says: `make then`.

It is run by Python 3.7 with PyTorch 1.5.1, in an environment of its own, `.then`, made once from
the package index; and on the same machine by the PyTorch that is here, to count which bits are the
same. What was said goes into `book/then.json`, and with the script into the page, whose cells
must do without a file. The page is executed after that.

    python tools/then/make.py                           finds a Python 3.7, with pyenv's first
    python tools/then/make.py --python /path/to/python3.7
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from pprint import pformat
from typing import Any

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools/then/post.py"
THEN = ROOT / "book/then.json"
PAGE = ROOT / "book/then_and_now.ipynb"
ENVIRONMENT = ROOT / ".then"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLD = "torch==1.5.1"

# What a PyTorch says. Numbers are written as their bits, which is exact.
ASK = """
import json, platform, runpy, sys, torch
torch.set_num_threads(1)
post = runpy.run_path(sys.argv[1])
losses, parameters = post["train"]()
print(json.dumps({
    "python": platform.python_version(),
    "torch": torch.__version__.split("+")[0],
    "said": post["run"](),
    "losses": [loss.hex() for loss in losses],
    "parameters": {
        name: {"bits": post["bits"](numbers), "all": [n.hex() for n in numbers.tolist()]}
        for name, numbers in zip(["at first", "after 1 step", "after 5 steps"], parameters)
    },
}))
"""


def old_python(named: str | None) -> str:
    """A Python 3.7: the one that is named, pyenv's newest, or the one on the path."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = sorted(pyenv.glob("versions/3.7.*/bin/python"), key=lambda path: len(str(path)))
    found = named or (str(kept[-1]) if kept else shutil.which("python3.7"))
    if found is None:
        sys.exit(
            "No Python 3.7 was found, which PyTorch 1.5.1 needs. Try: pyenv install 3.7.16, or "
            "make then THEN_PYTHON=/path/to/python3.7"
        )
    return found


def make_environment(named: str | None) -> None:
    """Make `.then`, unless it is there and whole."""
    check = [str(PYTHON), "-c", "import torch; assert torch.__version__ == '1.5.1'"]
    if PYTHON.exists() and subprocess.run(check, capture_output=True).returncode == 0:
        return
    print(f"Setting up {ENVIRONMENT.name}, once. {OLD} is large: this takes minutes.", flush=True)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([old_python(named), "-m", "venv", str(ENVIRONMENT)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    if subprocess.run([*pip, OLD]).returncode:
        sys.exit(f"{OLD} could not be installed: pip says why. It exists for x86-64 only.")


def ask(python: str | Path) -> dict[str, Any]:
    """What the script says under this Python."""
    with tempfile.TemporaryDirectory() as empty:
        command = [str(python), "-c", ASK, str(SCRIPT)]
        done = subprocess.run(command, cwd=empty, check=True, stdout=subprocess.PIPE, text=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def together(then: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Which bits two runs on one machine share: how many numbers, and how far the others are."""
    shared: dict[str, Any] = {"python": now["python"], "torch": now["torch"]}
    losses = zip(then["losses"], now["losses"], strict=True)
    shared["steps whose loss is the same"] = [n for n, (a, b) in enumerate(losses, 1) if a == b]
    for name, stage in then["parameters"].items():
        both = list(zip(stage["all"], now["parameters"][name]["all"], strict=True))
        away = max(abs(float.fromhex(a) - float.fromhex(b)) for a, b in both)
        same = sum(a == b for a, b in both)
        shared[name] = {"same": same, "of": len(both), "furthest": away}
    return shared


def kept(then: dict[str, Any]) -> dict[str, Any]:
    """A run, with a digest in place of each 62 006 numbers."""
    parameters = {name: stage["bits"] for name, stage in then["parameters"].items()}
    return {**then, "parameters": parameters}


def cells() -> dict[str, str]:
    """The script and what it said then, as cells of the page."""
    said = json.loads(THEN.read_text(encoding="utf-8"))
    return {
        "then-script": SCRIPT.read_text(encoding="utf-8").rstrip(),
        "then-said": "then = " + pformat(said, width=80, sort_dicts=False),
    }


def write_into(notebook: NotebookNode) -> None:
    """Those two cells."""
    texts = cells()
    for cell in notebook.cells:
        cell.source = texts.get(cell.id, cell.source)


def main() -> None:
    """Make the environment, ask both, write the file and the page."""
    parser = argparse.ArgumentParser(description="Run the post of 2020 as it was.")
    parser.add_argument("--python", help="a Python 3.7")
    make_environment(parser.parse_args().python or None)
    then, now = ask(PYTHON), ask(sys.executable)
    written = {
        "made": datetime.date.today().isoformat(),
        "script": SCRIPT.relative_to(ROOT).as_posix(),
        "sha256": hashlib.sha256(SCRIPT.read_bytes()).hexdigest(),
        **kept(then),
        "together": together(then, now),
    }
    THEN.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    notebook = nbformat.read(PAGE, as_version=4)
    write_into(notebook)
    nbformat.write(notebook, PAGE)
    print(f"{THEN.relative_to(ROOT)} and {PAGE.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
