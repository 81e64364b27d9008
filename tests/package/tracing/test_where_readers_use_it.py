"""The trace where readers use it: a script, a notebook kernel, IPython, a debugger, coverage."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.package.running import forks, python, run, write

SCRIPT = """\
import sys
import torch
from torch import nn
from companion import trace

net = nn.Linear(2, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
inputs = torch.ones(4, 2)

def helper():
    return net(inputs).sum()

def main():
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        loss = helper(
        )
        loss.backward()  # and here
        optimizer.step()
    after = 1
    return routine

routine = main()
"""
SOURCES = [
    "optimizer.zero_grad()",
    "loss = helper(\n)",
    "loss.backward()  # and here",
    "optimizer.step()",
]
REPORT = """
import json
report = [[r.file, r.line, r.source, len(r.changed_gradients), len(r.changed_parameters)]
          for r in routine.records]
print(json.dumps(report))
"""


def fork(folder: Path, *arguments: str, how: str = "script") -> str:
    return forks().run(folder, *arguments, how=how).well().out


def test_script(tmp_path: Path) -> None:
    write(tmp_path, SCRIPT + REPORT)
    report = json.loads(fork(tmp_path, "script.py"))
    assert [row[2] for row in report] == SOURCES
    assert [row[1] for row in report] == [15, 16, 18, 19]
    assert [row[3:] for row in report] == [[0, 0], [0, 0], [2, 0], [0, 2]]
    assert {Path(row[0]).name for row in report} == {"script.py"}


def test_code_without_a_file(tmp_path: Path) -> None:
    """`python -c` has no source to show: the line numbers stand in for it."""
    printed = python(tmp_path, "-c", SCRIPT + "print(routine)").out
    if sys.version_info < (3, 13):
        assert "  18  (line 18, source not known)" in printed
    assert "2 None → value" in printed


def test_notebook_kernel(tmp_path: Path) -> None:
    setup, body = SCRIPT.split("def main")
    block = textwrap.dedent("\n".join(f"def main{body}".splitlines()[1:7]))
    cells = [setup, "%matplotlib inline\n" + block, REPORT, "print(routine)", "routine.plot()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    report = json.loads(outputs[2][0].text)
    assert [row[2] for row in report] == SOURCES
    assert [row[1] for row in report] == [3, 4, 6, 7]
    assert [row[3:] for row in report] == [[0, 0], [0, 0], [2, 0], [0, 2]]
    assert {row[0] for row in report} == {"Cell In[2]"}
    assert outputs[3][0].text.startswith("Trace of Linear, 2 parameters\n")
    (shown,) = outputs[4]  # once, not twice
    assert shown.output_type == "execute_result"
    assert "image/png" in shown.data


def test_ipython(tmp_path: Path) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        f"for cell in {[SCRIPT, REPORT]!r}:\n"
        "    shell.run_cell(cell, store_history=True).raise_error()\n"
    )
    write(tmp_path, code)
    report = json.loads(fork(tmp_path, "script.py").splitlines()[-1])
    assert [row[2] for row in report] == SOURCES
    assert {row[0] for row in report} == {"Cell In[1]"}


def test_coverage_sees_the_same_lines(tmp_path: Path) -> None:
    seen = []
    for traced in True, False:
        text = SCRIPT if traced else SCRIPT.replace("trace(net, optimizer)", "open(__file__)")
        before = "import sys; before = sys.gettrace(); 1\n"
        write(tmp_path, f"{before}{text}assert sys.gettrace() is before\n")
        fork(tmp_path, "coverage", "run", "script.py", how="module")
        report = ["json", "-q", "-o", "report.json", "--include=script.py"]
        fork(tmp_path, "coverage", *report, how="module")
        told = json.loads((tmp_path / "report.json").read_text())
        seen.append(told["files"]["script.py"]["executed_lines"])
    assert seen[0] == seen[1]
    assert {16, 17, 19, 20, 21} <= set(seen[0])


def test_debugger_stops_inside_the_block(tmp_path: Path) -> None:
    write(tmp_path, SCRIPT + REPORT)
    commands = (
        "break 11\nbreak 19\nbreak 20\ncontinue\nwhere\ncontinue\ncontinue\np 6 * 7\ncontinue\n"
    )
    printed = run(tmp_path, sys.executable, "-m", "pdb", "script.py", told=commands).well().out
    assert "> script.py(11)helper()" in printed.replace(f"{tmp_path}/", "")
    assert "script.py(19)main()" in printed
    assert "script.py(20)main()" in printed
    assert "42" in printed
    report = json.loads(
        next(line for line in printed.splitlines() if "[[" in line)[len("(Pdb) ") :]
    )
    assert [row[3:] for row in report] == [[0, 0], [0, 0], [2, 0], [0, 2]]
