"""The player in a real JupyterLab: a chapter is opened, all its cells are run, and it is played."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import problems_axe, visit
from tests.lab import START, jupyterlab

ROOT = Path(__file__).parents[1]
CHAPTER = "03_computing_gradients.ipynb"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab whose folder holds one chapter, with settings of its own."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "book" / CHAPTER, folder)
    command = [sys.executable, "-m", "jupyterlab"]
    with jupyterlab(command, folder, cwd=folder, ServerApp__root_dir=str(folder)) as address:
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
    expect(notebook.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=START * 1000)
    notebook.get_by_role("menuitem", name="Run", exact=True).first.click()
    notebook.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    player = notebook.locator(".routine-player:has(.rp-app)").first
    player.wait_for(timeout=START * 1000)
    expect(notebook.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=START * 1000)
    player.scroll_into_view_if_needed()
    said, slider = player.locator(".rp-say"), player.get_by_role("slider")

    player.get_by_role("button", name="gradients", exact=True).click()  # by mouse
    expect(said).to_contain_text("Right: it changes gradients.")
    assert slider.input_value() == "1"
    for answer in ("nothing", "nothing", "gradients", "parameters"):  # by keyboard
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
