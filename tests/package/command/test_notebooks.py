"""A notebook runs as a script: its code cells, in order; the report says cell and line."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.package.command.running import SETUP, Start
from tests.package.running import Ran, write

STEP = """\
def step(x, y):
    loss = nn.functional.mse_loss(net(x), y)
    loss.backward()
    optimizer.step()
    return loss
"""
LOOP = "total = 0\nfor number in range(6):\n    total += step(x, y)\nprint('done', true)\n"
PLAIN = """
import sys
sys.modules["IPython"] = None
from companion.__main__ import main
main(sys.argv[1:])
"""
NEEDS_IPYTHON = pytest.mark.skipif(not find_spec("IPython"), reason="IPython is not installed")
HOW = ["plain", pytest.param("ipython", marks=NEEDS_IPYTHON)]


def notebook(folder: Path, *cells: str, name: str = "train.ipynb") -> None:
    """A notebook with these code cells; a first one holds words."""
    code: list[dict[str, Any]] = [
        {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [],
         "source": text.splitlines(keepends=True)}
        for text in cells
    ]  # fmt: skip
    words = {"cell_type": "markdown", "metadata": {}, "source": ["# true\n"]}
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    whole = {"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": [words, *code]}
    write(folder, json.dumps(whole), name)


def run(how: str, start: Start, folder: Path, *arguments: str) -> Ran:
    if how == "plain":
        write(folder, PLAIN, "plain.py")
        return start("plain.py", *arguments, alone=True)
    return start(*arguments)


@pytest.mark.parametrize("how", HOW)
def test_cells_are_run_and_findings_say_where(how: str, start: Start, tmp_path: Path) -> None:
    """In its own folder, as Jupyter does."""
    setup = "import os\ntrue = os.path.basename(os.getcwd())\n" + SETUP
    notebook(tmp_path, setup, STEP, LOOP, name="inner/train.ipynb")
    options = ["--json", "report.json", "--format", "sarif", "--output", "report.sarif"]
    ran = run(how, start, tmp_path, *options, "inner/train.ipynb", "a")
    assert ran.code == 3, ran.err
    assert ran.out.splitlines() == ["done inner"]
    assert ran.err.startswith("companion: watched 3 steps, 2 findings\n")
    assert "\naccumulates, cell 2, line 3, 2 times: loss.backward()\n" in ran.err
    assert "\ngraph-kept, cell 3, line 3: total += step(x, y)\n" in ran.err
    assert "# step, cell 2\n" in ran.err
    report = json.loads((tmp_path / "report.json").read_text())
    found = [(one["place"], Path(one["file"]).parent.name) for one in report["findings"]]
    assert found == [("cell 2, line 3", "train.ipynb"), ("cell 3, line 3", "train.ipynb")]
    results = json.loads((tmp_path / "report.sarif").read_text())["runs"][0]["results"]
    (place,) = results[0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "inner/train.ipynb"
    assert place["logicalLocations"] == [{"name": "cell 2, line 3"}]
    accepted = STEP.replace("backward()", "backward()  # companion: ignore[accumulates]")
    notebook(tmp_path, SETUP + "true = 1\n", accepted, LOOP)
    ran = run(how, start, tmp_path, "train.ipynb")
    assert "companion: ignored 1 finding: accumulates, cell 2, line 3 (a comment)" in ran.err


@pytest.mark.parametrize("how", HOW)
def test_it_fails_as_a_script_does(how: str, start: Start, tmp_path: Path) -> None:
    notebook(tmp_path, "x = 1", "def f():\n    return {}[x]\nf()", "print('never')")
    ran = run(how, start, tmp_path, "train.ipynb")
    assert (ran.code, ran.out) == (1, "")
    file = tmp_path / "train.ipynb" / "cell 2"
    assert ran.err.splitlines()[1:4] == [
        "Traceback (most recent call last):",
        f'  File "{file}", line 3, in <module>',
        "    f()",
    ]
    assert ran.err.endswith("KeyError: 1\n")
    notebook(tmp_path, "x = 1", "y = = 1")
    ran = run(how, start, tmp_path, "train.ipynb")
    assert ran.code == 1
    assert ran.err.endswith("    y = = 1\n        ^\nSyntaxError: invalid syntax\n")


@pytest.mark.parametrize("how", HOW)
def test_what_a_prompt_does(how: str, start: Start, tmp_path: Path) -> None:
    """The last value is shown, not what ends with a semicolon; await stands on top; display."""
    notebook(
        tmp_path, "x = 20\nx + 1", "x + 2;", "x + 9;  # no more", "x + 2  # shown;",
        "import asyncio\nawait asyncio.sleep(0, 23)",
        "display(24)", "%%time\nx + 5",
    )  # fmt: skip
    ran = run(how, start, tmp_path, "train.ipynb").well()
    shown = [line.partition(": ")[2] or line for line in ran.out.splitlines()]
    assert shown == ["21", "22", "23", "24", "25"]


@pytest.mark.skipif(
    not (find_spec("nbclient") and find_spec("ipykernel")), reason="no kernel is installed"
)
def test_cells_are_numbered_as_a_kernel_numbers_them(start: Start, tmp_path: Path) -> None:
    """`In`, `Out`, the names that begin with `_`, the labels; no empty cell is counted."""
    notebook(
        tmp_path, "1 + 1", "print(In, Out, _, __)", "", "_ + 1", "# words", "Out[1]",
        "  \n", "40;", "%%time\n_ + 4", "print(In[1:], Out, _, __, ___, _1, _3, _7)",
        "%%capture told\n50", "print(told.stdout)\n60  # shown;", "70;  # not shown",
        "print([_i, _ii, _iii, _i1, _i7])", "get_ipython().execution_count",
        "'lines'\n'''a\nb'''", "Out", "None", "In[-1], _ih is In, _oh is Out",
    )  # fmt: skip
    ours = start("train.ipynb").well().out
    assert [line for line in ours.splitlines() if line] == _by_a_kernel(tmp_path / "train.ipynb")


def _by_a_kernel(path: Path) -> list[str]:
    """What a kernel shows, but for the times that it took."""
    import nbformat
    from nbclient import NotebookClient

    shown = ""
    for cell in NotebookClient(nbformat.read(path, 4)).execute().cells:
        for one in cell.get("outputs", ()):
            if one.output_type == "stream" and one.name == "stdout":
                shown += one.text
            elif one.output_type == "execute_result":
                value = one.data["text/plain"]
                shown += f"Out[{one.execution_count}]: {value}\n"
    timed = ("CPU times: ", "Wall time: ")
    return [line for line in shown.splitlines() if line and not line.startswith(timed)]


@NEEDS_IPYTHON
def test_magics(start: Start, tmp_path: Path) -> None:
    """A line of a cell stays the line that it is, whatever magic stands above."""
    head, *rest = LOOP.partition("for ")
    notebook(
        tmp_path,
        "%env MINE=7\n!echo $MINE\n" + SETUP + "true = 1",
        "%%time\n" + STEP,
        f"\n%%capture told\n{head}{''.join(rest)}",
        "print(told.stdout.strip(), get_ipython() is not None)",
    )
    ran = start("train.ipynb")
    assert ran.code == 3, ran.err
    assert ran.out.split() == ["env:", "MINE=7", "7", "done", "1", "True"]
    assert "\naccumulates, cell 2, line 4, " in ran.err
    assert "\ngraph-kept, cell 3, line 5: " in ran.err


def test_without_ipython_what_is_left_out_is_said(start: Start, tmp_path: Path) -> None:
    notebook(
        tmp_path,
        "%matplotlib inline\n!pip install \\\n  x\nx = 5\nif x:\n    %cd ..\nfiles = !ls\nx?\n"
        "text = '''\n%d\n''' % x\nprint(text.strip())",
        "%%bash\nexit 7",
        "%%capture\nprint(6)",
    )
    ran = run("plain", start, tmp_path, "train.ipynb").well()
    assert ran.out.split() == ["5", "6"]
    left = [line for line in ran.err.splitlines() if "left out, for it needs IPython" in line]
    assert [line.split(": ")[1] for line in left] == [
        *(f"cell 1, line {line}" for line in (1, 2, 6, 7, 8)),
        "cell 2, line 1",
    ]
    assert left[0].endswith(": %matplotlib inline")
