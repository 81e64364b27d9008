"""The player in a real JupyterLab: a chapter is opened, all its cells are run, and it is played."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import problems_axe, visit

ROOT = Path(__file__).parents[1]
CHAPTER = "03_computing_gradients.ipynb"
START = 60  # seconds that a server, and then a kernel with torch, may take


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab whose folder holds one chapter, with settings of its own."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "book" / CHAPTER, folder)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    options = {
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": str(folder),
        "IdentityProvider.token": "",
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.user_settings_dir": str(folder / "settings"),
        "LabApp.workspaces_dir": str(folder / "workspaces"),
        "NotebookNotary.db_file": ":memory:",  # nothing is trusted beforehand
    }
    config: dict[str, dict[str, object]] = {}
    for name, value in options.items():
        owner, _, option = name.partition(".")
        config.setdefault(owner, {})[option] = value
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", "jupyterlab", "--config", str(file)]
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://localhost:{port}"
    try:
        for _ in range(START * 5):
            assert server.poll() is None, log.read_text()
            try:
                with urlopen(f"{address}/api/status"):
                    break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail(log.read_text())
        yield address
    finally:
        server.terminate()
        server.wait(30)


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
