"""Every chapter: was it really run, do its exercises work, does it keep the house style?

That each stored output is what the code computes is nbval's work (see `book/conftest.py`). nbval
passes a notebook that was never run, and a cell that is said to raise and does not: so here.
"""

from __future__ import annotations

import copy
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from docutils.nodes import make_id
from nbformat import NotebookNode

from companion.diagnosis.rules import RULES
from companion.records.finding import CHAPTER
from tests import ROOT

BOOK = ROOT / "book"
CHAPTERS = sorted(BOOK.glob("[0-9][0-9]_*.ipynb"))
EXECUTE = runpy.run_path(str(ROOT / "tools/execute.py"))

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


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
    toc = (BOOK / "_toc.yml").read_text()
    assert re.findall(r"file: (\d\S+)", toc) == [path.stem for path in CHAPTERS]
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


# nbval with our comparison, on a notebook made for it.


def nbval(folder: Path, stored: str, source: str = "print(f'loss {2.25:.3f}')", **cell: Any) -> int:
    """How many cells nbval fails in a notebook of one cell with this stored output."""
    output = nbformat.v4.new_output("stream", text=stored)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, execution_count=1, outputs=[output], **cell)]
    )
    (folder / "tests").mkdir(exist_ok=True)
    shutil.copy(BOOK / "conftest.py", folder)
    shutil.copy(ROOT / "tests/outputs.py", folder / "tests")
    nbformat.write(notebook, folder / "one.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "one.ipynb"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode


def test_nbval_passes_what_is_computed_and_fails_a_changed_digit(tmp_path: Path) -> None:
    assert nbval(tmp_path, "loss 2.250\n") == 0
    assert nbval(tmp_path, "loss 2.251\n") == 0  # one unit of the last printed place
    assert nbval(tmp_path, "loss 2.260\n") == 1
    assert nbval(tmp_path, "loss 2.250\n", "1 / 0", metadata={"tags": ["raises-exception"]}) == 1


# Exercises.

WRONG = {
    ("01_training_routine", 1): "answer_1 = 89",
    ("01_training_routine", 2): "answer_2 = 1.0",
    ("01_training_routine", 3): "answer_3 = routine",
    ("02_parameters_and_grad", 1): "answer_1 = 0",
    ("02_parameters_and_grad", 2): "answer_2 = [1.0, 2.0, 3.0]",
    ("02_parameters_and_grad", 3): "answer_3 = nn.Linear(1, 1)",
    ("03_computing_gradients", 1): "answer_1 = 1",
    ("03_computing_gradients", 2): "answer_2 = 0.0",
    ("04_updating_parameters", 1): "answer_1 = 10",
    (
        "04_updating_parameters",
        2,
    ): "my_step = lambda net, lr: optim.SGD(net.parameters(), lr=0.1).step()",
    ("04_updating_parameters", 3): "answer_3 = True",
    ("05_sgd_in_full", 1): "answer_1 = 0.1",
    ("05_sgd_in_full", 2): "answer_2 = 0.5",
    ("05_sgd_in_full", 3): "my_step = lambda p, buffer, lr, momentum: None",
    ("06_adam", 1): "answer_1 = 0.05",
    ("06_adam", 2): "my_adam = lambda p, m, v, t, lr: None",
    ("06_adam", 3): "answer_3 = False",
    ("07_when_training_goes_wrong", 1): "answer_1 = 4",
    ("07_when_training_goes_wrong", 2): "my_epoch = lambda net, optimizer, batches: 0.0",
    ("07_when_training_goes_wrong", 3): "answer_3 = True",
    ("08_your_own_loop", 1): 'answer_1 = {"every": 20}',
    ("08_your_own_loop", 2): "silent = lambda routine: []",
    ("08_your_own_loop", 3): "answer_3 = 'self.optimizer.step()'",
}


def solutions(notebook: Any) -> list[str]:
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    hidden = re.findall(
        r"<details>\n<summary>Solution (\d)</summary>\n(.*?)\n</details>", prose, re.S
    )
    assert [int(number) for number, _ in hidden] == list(range(1, len(hidden) + 1))
    return ["\n".join(re.findall(r"```python\n(.*?)```", text, re.S)) for _, text in hidden]


@each_chapter
def test_exercises(path: Path) -> None:
    """Unanswered, answered wrongly, and solved as the chapter solves it: each check tells."""
    notebook = load(path)
    answers = solutions(notebook)
    exercises = [cell for cell in notebook.cells if "exercise" in tags(cell)]
    checks = [cell for cell in notebook.cells if "check" in tags(cell)]
    assert len(answers) == len(exercises) == len(checks)
    assert len(answers) in (2, 3)
    for number, check in enumerate(checks, 1):
        assert check.outputs[0].text == f"Exercise {number}: no answer yet\n"
        assert "hide-input" in tags(check)  # it gives the answer away, in the book and in Jupyter
        assert check.metadata["jupyter"]["source_hidden"]

    cells = []
    for cell in notebook.cells:
        if "exercise" in tags(cell):
            number = exercises.index(cell) + 1
            wrong, right, check = WRONG[path.stem, number], answers[number - 1], checks[number - 1]
            cells += [nbformat.v4.new_code_cell(s) for s in (wrong, check.source, right)]
        else:
            cells.append(copy.deepcopy(cell))
    solved = EXECUTE["run"](nbformat.v4.new_notebook(cells=cells))
    printed = [
        output.text
        for cell in solved.cells
        for output in cell.get("outputs", [])
        if "text" in output
    ]
    verdicts = [text for text in printed if text.startswith("Exercise")]
    for number, (wrong, right) in enumerate(zip(verdicts[::2], verdicts[1::2], strict=True), 1):
        assert wrong.startswith(f"Exercise {number}: not yet: "), wrong
        assert right == f"Exercise {number}: correct\n"
    assert len(verdicts) == 2 * len(answers)


# House style.


@each_chapter
def test_form(path: Path) -> None:
    """A question, a prediction, and at the end what can now be said, exercises, sources."""
    notebook = load(path)
    opening = notebook.cells[0].source
    assert re.match(r"# \S", opening)
    assert "?**" in opening
    assert ":::{admonition} Predict before you read on" in opening
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
    notebook = load(BOOK / CHAPTER.replace(".html", ".ipynb"))
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    addresses = {make_id(heading) for heading in re.findall(r"^#+ (.*)$", prose, re.M)}
    assert {rule.section for rule in RULES} <= addresses
