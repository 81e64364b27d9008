"""Every chapter: was it really run, do its exercises work, does it keep the house style?

That each stored output is what the code computes is nbval's work (`execution.py`). nbval passes a
notebook that was never run, and a cell that is said to raise and does not: so here.
"""

from __future__ import annotations

import copy
import gc
import json
import re
import runpy
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest
from docutils.nodes import make_id
from nbformat import NotebookNode
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel

from companion.diagnosis.rules import RULES
from tests import CHAPTERS, ROOT
from tests.chapters import each_chapter
from tests.chapters.answers import answers
from tests.chapters.exercises import solutions, tagged
from tests.chapters.kernels import kernel
from tests.package.running import python

BOOK = ROOT / "book"
EXECUTE = runpy.run_path(str(ROOT / "tools/execute.py"))


def load(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def not_run(notebook: Any) -> list[str]:
    """What shows that a notebook was not executed from top to bottom as it stands."""
    cells = code_cells(notebook)
    complaints = [
        f"cell {number} has the execution count {cell.execution_count}"
        for number, cell in enumerate(cells, 1)
        if cell.execution_count != number
    ]
    for number, cell in enumerate(cells, 1):
        raised = any(output.output_type == "error" for output in cell.outputs)
        if raised != ("raises-exception" in tags(cell)):
            complaints.append(f"cell {number} {'raised' if raised else 'did not raise'}")
    return complaints


def test_there_are_chapters_and_the_book_lists_them_all() -> None:
    listed = re.findall(r"file: (\S+)", (BOOK / "_toc.yml").read_text())
    assert listed[: len(CHAPTERS)] == [path.stem for path in CHAPTERS]
    assert len(CHAPTERS) >= 4


@each_chapter
def test_was_run(path: Path) -> None:
    assert not_run(load(path)) == []


def test_a_notebook_that_was_not_run_is_noticed() -> None:
    run = load(CHAPTERS[2])
    never, moved, quiet = copy.deepcopy(run), copy.deepcopy(run), copy.deepcopy(run)
    for cell in code_cells(never):
        cell.execution_count, cell.outputs = None, []
    assert len(not_run(never)) >= len(code_cells(never))
    first, second = code_cells(moved)[:2]
    first.execution_count, second.execution_count = 2, 1
    assert len(not_run(moved)) == 2
    cell = next(cell for cell in code_cells(quiet) if "raises-exception" in tags(cell))
    cell.outputs = []
    assert len(not_run(quiet)) == 1


# nbval, as `conftest.py` has it, on a notebook made for it.


def test_what_is_computed_passes_and_what_is_not_fails(tmp_path: Path) -> None:
    (book := tmp_path / "book").mkdir()
    shutil.copy(ROOT / "conftest.py", tmp_path)
    loss = "print(f'loss {2.25:.3f}')"
    check = "print('Exercise 1:', 'correct' if answer_1 == 90 else 'not yet: count')"
    cells = [
        cell(loss, "loss 2.250\n"),
        cell(loss, "loss 2.251\n"),  # one unit of the last printed place
        cell(loss, "loss 2.260\n"),
        cell("1 / 0", "loss 2.250\n", tags=["raises-exception"]),
        cell("import os; print(os.listdir())", "[]\n"),
        cell("answer_1 = None", tags=["exercise"]),
        cell(check, "Exercise 1: not yet: count\n", tags=["check"]),
        nbformat.v4.new_markdown_cell(
            "<details>\n<summary>Solution 1</summary>\n\n```python\nanswer_1 = 91\n```\n</details>"
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, book / "00_made_for_a_test.ipynb")
    pytests = ["-m", "pytest", "-rA", "--tb=no", "book"]
    done = python(tmp_path, *pytests, variables={"PYTHONPATH": str(ROOT)})
    assert re.findall(r"^(\w+) .*::([^-\n]*\w)", done.out, re.M) == [
        ("PASSED", "Cell 0"),
        ("PASSED", "Cell 1"),
        ("PASSED", "Cell 4"),
        ("PASSED", "Cell 5"),
        ("PASSED", "Cell 6"),
        ("PASSED", "Exercise 1, solution"),
        ("PASSED", "Exercise 1, answer 1, wrongly"),
        ("PASSED", "Exercise 1, answer 1, wrongly, checked"),
        ("PASSED", "Exercise 1, answer 2, rightly"),
        ("PASSED", "Exercise 1, answer 2, rightly, checked"),
        ("FAILED", "Cell 2"),
        ("FAILED", "Cell 3"),
        ("FAILED", "Exercise 1, solution, checked"),
    ], done.out + done.err


def cell(source: str, stored: str = "", **metadata: Any) -> Any:
    outputs = [nbformat.v4.new_output("stream", text=stored)] if stored else []
    return nbformat.v4.new_code_cell(source, execution_count=1, outputs=outputs, metadata=metadata)


# Exercises. That wrong answers are told from right ones is seen where the chapter is executed.


@each_chapter
def test_exercises(path: Path) -> None:
    notebook = load(path)
    checks = tagged(notebook, "check")
    solved = solutions(notebook)
    assert len(solved) == len(tagged(notebook, "exercise")) == len(checks)
    assert len(solved) in (3, 4, 5)
    for number, check in enumerate(checks, 1):
        assert check.outputs[0].text == f"Exercise {number}: no answer yet\n"
        assert "hide-input" in tags(check)  # it gives the answer away, in the book and in Jupyter
        assert check.metadata["jupyter"]["source_hidden"]
    first = notebook.cells.index(tagged(notebook, "exercise")[0])
    others = {"exercise", "check"}
    assert all(
        others & {*tags(cell)} for cell in notebook.cells[first:] if cell.cell_type == "code"
    )


@each_chapter
def test_each_check_is_tried(path: Path) -> None:
    """With other right answers than the chapter's own, and with wrong ones, each told why."""
    for tried in answers(path.stem):
        assert len(tried.right) >= 2
        assert len(tried.wrong) >= 3
        assert all(len(hint.split()) >= 3 for hint in tried.wrong.values())
        assert len({*tried.wrong.values()}) == len(tried.wrong)


# House style.


@each_chapter
def test_form(path: Path) -> None:
    """A question, a prediction, and at the end what can now be said, exercises, sources."""
    notebook = load(path)
    opening = notebook.cells[0].source
    assert re.match(r"# \S", opening)
    assert "?**" in opening
    assert ":::{admonition} Predict before you read on" in opening
    guesses = re.findall(r'<details class="guess">\n<summary>\w</summary>\n\n(\w+)', opening)
    if not any("play(predict=True)" in cell.source for cell in code_cells(notebook)):
        assert guesses, "nothing can be guessed without running Python"
    assert {*guesses} in (set(), {"Yes", "No"})
    headings = re.findall(
        r"^## (.*)$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M
    )
    assert headings[-3:] == ["What you can now say", "Exercises", "Where to go on"]
    sources = re.findall(r"\]\((https://[^)]+)\)", notebook.cells[-1].source)
    assert len(sources) >= 2


@each_chapter
def test_readable_everywhere(path: Path) -> None:
    assert path.stat().st_size < 400_000
    notebook = load(path)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"^```\{", cell.source, re.M), "colon fences only"
        else:
            assert max(map(len, cell.source.splitlines())) <= 88, cell.source
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@each_chapter
def test_nothing_of_the_machine_is_stored(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for trace in ("site-packages", "/home/", "/root/", "/tmp/", "/Users/", "ipykernel_"):
        assert trace not in text, trace
    assert NotebookNode(load(path).metadata) == EXECUTE["tidy"](load(path)).metadata


@each_chapter
def test_figures_are_svg_with_words_for_those_who_cannot_see_them(path: Path) -> None:
    for cell in code_cells(load(path)):
        for output in cell.outputs:
            data = output.get("data", {})
            assert "image/png" not in data
            if "image/svg+xml" in data:
                assert len(cell.metadata.mystnb.image.alt) > 40
                assert "<dc:date>" not in data["image/svg+xml"]


def test_every_finding_leads_to_a_section_of_the_course() -> None:
    """Sphinx makes a section's address from its heading."""
    addresses = set()
    for path in [*CHAPTERS, ROOT / "book/rules.md"]:
        if path.suffix == ".ipynb":
            prose = "\n".join(c.source for c in load(path).cells if c.cell_type == "markdown")
        else:
            prose = path.read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", prose, re.M)
        addresses |= {f"{path.stem}.html#{make_id(heading)}" for heading in headings}
    in_chapters = {rule.section for rule in RULES if not rule.section.startswith("rules.html")}
    assert in_chapters <= addresses


BEGINS = """\
import gc, json, os, signal, sys, threading
outer = {**os.environ, "JPY_PARENT_PID": os.environ["JPY_PARENT_PID"] == str(os.getppid())}
here = {
    "folder": os.getcwd(), "path": sys.path, "finders": [*map(type, sys.meta_path)],
    "flags": sys.flags, "frozen": gc.get_freeze_count(), "often": gc.get_threshold(),
    "threads": sorted(type(thread).__name__ for thread in threading.enumerate()),
    "signals": [str(signal.getsignal(number)).partition(" at ")[0] for number in signal.Signals],
    "leads": os.getsid(0) == os.getpid(),
    "names": sorted(vars(sys.modules["__main__"])), "script": sys.argv[0],
    "variables": sorted(outer.items()),
}
import companion, matplotlib.pyplot, sklearn.datasets, torch, torch._dynamo
here["modules"] = sorted(name for name in sys.modules if name != "__mp_main__")
here["tensors"] = sum(isinstance(one, torch.Tensor) for one in gc.get_objects())
here["settings"] = torch.get_num_threads(), torch.get_default_dtype(), matplotlib.rcParams
print(json.dumps({name: str(value) for name, value in here.items()}))
print(torch.rand(1), __import__("numpy").random.rand(), __import__("random").random())
"""


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # nbval's, of each kernel
def test_a_chapter_finds_in_a_fork_what_it_finds_in_a_new_kernel(tmp_path: Path) -> None:
    """Every day its outputs are compared, which were made in new ones."""
    found, drawn = [], set()
    new, fork = partial(RunningKernel, CURRENT_ENV_KERNEL_NAME), kernel
    for start in new, fork, fork:
        said: list[Any] = []
        running = start(str(tmp_path), 60)
        running.kc.execute_interactive(BEGINS, timeout=60, output_hook=said.append)
        running.stop()
        del running
        gc.collect()
        told = "".join(one["content"].get("text", "") for one in said).splitlines()
        found.append(json.loads(told[0]))
        drawn |= set(told[1].split())
    for one in found[1:]:
        assert {name: told for name, told in one.items() if told != found[0][name]} == {}
    assert len(drawn) == 9
