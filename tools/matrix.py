"""The package's tests against the installed wheel, in an empty folder: `make matrix`.

For each Python and each PyTorch: build the wheel, make an environment with it, that PyTorch and
what the tests import, copy the package's tests (and nothing else of the repository) into an empty
folder, and run them there, and the examples in the installed docstrings too.

    python tools/matrix.py                                    all of COMBINATIONS
    python tools/matrix.py --python 3.12 --torch "torch==2.9.*" -- -k trace

Only the standard library and uv are needed (`pip install uv`); uv finds the Python. With
UV_TORCH_BACKEND=cpu in the environment it takes PyTorch without CUDA.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT)
OLDEST = "torch==" + re.findall(r'dependencies = \["torch>=([\d.]+)"\]', PYPROJECT)[0] + ".*"
NEWEST = "torch"
COMBINATIONS = [(PYTHONS[0], OLDEST), *((python, NEWEST) for python in PYTHONS)]

# What they import, beside the wheel and its extras.
NEEDS = [
    "pytest",
    "hypothesis",
    "expecttest",
    "pandas",
    "nbclient",
    "ipykernel",
    "coverage",
    "setuptools",
]
SETTINGS = """\
[pytest]
addopts = --doctest-modules -p no:cacheprovider
doctest_optionflags = NORMALIZE_WHITESPACE
filterwarnings =
    error
    ignore:Sparse (invariant|CSR|CSC|BSR|BSC)
    ignore:Guards may run slower on Python 3.13.0
"""


def call(*command: str | Path, folder: Path = ROOT, check: bool = True) -> int:
    """Run a command and show what it prints; its exit code."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=variables, check=check)
    return done.returncode


def copy_tests(target: Path) -> None:
    """The package's tests, and nothing else."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests/package", target / "tests/package", ignore=ignored)
    (target / "tests/__init__.py").touch()
    (target / "pytest.ini").write_text(SETTINGS, encoding="utf-8")


def run(python: str, torch: str, arguments: list[str]) -> int:
    """One combination; pytest's exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uv = [sys.executable, "-m", "uv", "--no-progress"]
        call(*uv, "build", "--quiet", "--wheel", "--out-dir", folder / "wheel", ROOT)
        (wheel,) = (folder / "wheel").glob("*.whl")
        call(*uv, "venv", "--quiet", "--python", python, folder / "venv")
        inside = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        wanted = [f"{wheel}[course]", torch, *NEEDS]
        # From outside the repository: its own constraints would name one PyTorch.
        call(*uv, "pip", "install", "--quiet", "--python", inside, *wanted, folder=folder)
        (folder / "empty").mkdir()
        copy_tests(folder / "empty")
        told = "import platform, torch; print('Python', platform.python_version(), 'torch', "
        call(inside, "-c", told + "torch.__version__)", folder=folder / "empty")
        pytest: list[str | Path] = [
            inside,
            "-m",
            "pytest",
            "tests",
            "--pyargs",
            "companion",
            "-q",
            *arguments,
        ]
        return call(*pytest, folder=folder / "empty", check=False)


def main() -> None:
    """Run what is named on the command line, or everything."""
    parser = argparse.ArgumentParser(description="Test the wheel on several Pythons and PyTorches.")
    parser.add_argument("--python", help="such as 3.12; uv finds it")
    parser.add_argument("--torch", help='such as "torch==2.9.*", oldest or newest')
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()
    torch = {"oldest": OLDEST, "newest": NEWEST}.get(options.torch, options.torch)
    chosen = COMBINATIONS
    if options.python or torch:
        chosen = [(options.python or "{}.{}".format(*sys.version_info), torch or NEWEST)]
    codes = []
    for one in chosen:
        print(f"Python {one[0]}, {one[1]}", flush=True)
        codes.append((*one, run(*one, options.pytest)))
    for python, requirement, code in codes:
        print(f"Python {python}, {requirement}: {'failed' if code else 'passed'}")
    sys.exit(any(code for *_, code in codes))


if __name__ == "__main__":
    main()
