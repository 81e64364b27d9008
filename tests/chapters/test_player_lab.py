"""The player in real Jupyters: JupyterLab and Notebook 7. A notebook is opened, run and played."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests import ROOT
from tests.chapters.lab import START, jupyter
from tests.pages.browser import problems_axe, visit

CHAPTER = "01_training_routine.ipynb"
DOLLARS = 'price = "$5"; other = "$6"'
LOOP = f"""\
import torch
from companion import trace
net = torch.nn.Linear(2, 1)
with trace(net) as routine:
    net(torch.ones(1, 2)).sum().backward()
    {DOLLARS}
routine"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Jupyter, as Lab and as Notebook; its folder has a chapter and `LOOP`."""
    folder = tmp_path_factory.mktemp("lab")
    chapter = nbformat.read(ROOT / "book" / CHAPTER, as_version=4)
    players = [i for i, cell in enumerate(chapter.cells) if "routine.play(" in cell.source]
    chapter.cells = chapter.cells[: players[0] + 1]  # what comes below trains for a while
    nbformat.write(chapter, folder / CHAPTER)
    cells = [nbformat.v4.new_code_cell(code) for code in (LOOP, "1", "2")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    whole = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    for name in "lab", "notebooks":
        nbformat.write(whole, folder / f"{name}.ipynb")
    command = [sys.executable, "-m", "notebook"]
    with jupyter(command, folder, cwd=folder, ServerApp__root_dir=str(folder)) as address:
        yield address


@pytest.fixture(scope="module")
def notebook(lab: str, browser: Browser) -> Iterator[Page]:
    with visit(browser, f"{lab}/lab/tree/{CHAPTER}", (1280, 1000)) as opened:
        opened.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=START * 1000)
        yield opened.page


def test_before_a_cell_is_run_the_table_is_there(notebook: Page) -> None:
    """JupyterLab strips scripts and styles from a notebook that it does not trust."""
    table = notebook.locator("details:has-text('every line as a table')").first
    table.scroll_into_view_if_needed()
    assert notebook.locator(".rp-app").count() == 0
    table.locator("summary").click()
    for words in ("optimizer.zero_grad()", "loss.backward()", "gradients: 10 value → None"):
        expect(table.get_by_text(words).first).to_be_visible()


def test_all_cells_are_run_and_the_player_is_played(notebook: Page) -> None:
    run_all(notebook)
    player = notebook.locator(".routine-player:has(.rp-app)").first
    player.wait_for(timeout=START * 1000)
    expect(notebook.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=START * 1000)
    player.scroll_into_view_if_needed()
    said, slider = player.locator(".rp-say"), player.get_by_role("slider")

    player.get_by_role("button", name="gradients", exact=True).click()  # by mouse
    expect(said).to_contain_text("Right: it changes gradients.")
    assert slider.input_value() == "1"
    for answer in ("neither", "neither", "gradients", "parameters"):  # by keyboard
        notebook.keyboard.press("Enter")  # Next has the focus
        player.get_by_role("button", name=answer, exact=True).focus()
        notebook.keyboard.press("Enter")
        expect(said).to_contain_text(f"Right: it changes {answer}.")
    expect(said).to_contain_text("Guessed right: 5 / 5")

    slider.focus()
    for key, position in [("Home", 0), ("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1)]:
        notebook.keyboard.press(key)
        assert slider.input_value() == str(position), f"JupyterLab took {key} for itself"
    player.get_by_role("button", name="optimizer.step()").click()
    assert slider.input_value() == "5"
    assert player.locator(".rp-state td b").count() == 10

    problems = [line for line in problems_axe(notebook) if "rp-" in line or "routine" in line]
    assert problems == []


def run_all(notebook: Page) -> None:
    """By the menu, once the kernel is there; again where no cell runs: now and then none does."""
    idle = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
    dialog = notebook.locator(".jp-Dialog")  # JupyterLab's own, now and then, in the way of a click
    notebook.add_locator_handler(dialog, dismiss, no_wait_after=True)
    run_all_by_menu(notebook, idle)
    notebook.remove_locator_handler(dialog)


def dismiss(dialog: Locator) -> None:
    """Close it, and say what it said."""
    print(dialog.first.inner_text())
    dialog.first.page.keyboard.press("Escape")


def run_all_by_menu(notebook: Page, idle: str) -> None:
    for _ in range(START // 3):
        notebook.wait_for_selector(idle, timeout=START * 1000, state="attached")
        notebook.get_by_role("menuitem", name="Run", exact=True).first.click()
        notebook.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        waiting = notebook.locator(".jp-InputArea-prompt", has_text="*")
        for _ in range(30):
            if waiting.count() or notebook.locator(".rp-app").count():
                return  # they run, or have run
            notebook.wait_for_timeout(100)


# What each would do to the notebook: cells come, go, are joined, move or change their kind.
SHORTCUTS = ["x", "d", "d", "a", "b", "m", "r", "v", "j", "k", "z", "0", "0", "Shift+M", "Escape"]


NOTEBOOK_7 = pytest.param("notebooks/notebooks.ipynb", marks=pytest.mark.weekly)


@pytest.mark.parametrize("page", ["lab/workspaces/own/tree/lab.ipynb", NOTEBOOK_7])
def test_no_key_that_is_meant_for_the_player_reaches_the_notebook(
    browser: Browser, lab: str, page: str
) -> None:
    """And no dollar in the code becomes a formula."""
    with visit(browser, f"{lab}/{page}", (1280, 1000)) as opened:
        notebook = opened.page
        run_all(notebook)
        player = notebook.locator(".routine-player:has(.rp-app)")
        player.wait_for(timeout=START * 1000)
        cell = notebook.locator(".jp-Notebook .jp-Cell")
        assert cell.count() == 3
        slider = player.get_by_role("slider")
        places = {
            "Next": player.get_by_role("button", name="Next"),
            "slider": slider,
            "line": player.locator(".rp-code button").first,
            "state": player.locator(".rp-state"),
            "summary": player.locator("summary"),
        }
        for name, place in places.items():
            place.focus()
            for key in SHORTCUTS:
                notebook.keyboard.press(key)
                assert cell.count() == 3, f"{key} on {name} reached the notebook"
                assert notebook.locator(".jp-Dialog").count() == 0, f"{key} on {name}"
            expect(place).to_be_focused()
        places["Next"].focus()
        for key, position in [("End", 2), ("Home", 0), ("ArrowDown", 1), ("ArrowUp", 0)]:
            notebook.keyboard.press(key)
            assert slider.input_value() == str(position), key
        listing = player.locator(".rp-code")
        notebook.wait_for_timeout(1000)  # a formula comes later, if it comes
        expect(listing).to_contain_text(DOLLARS)
        assert notebook.locator("mjx-container").count() == 0
