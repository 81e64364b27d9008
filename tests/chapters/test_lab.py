"""`make lab`: a JupyterLab whose files are the chapters."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.request import urlopen

from tests import ROOT
from tests.chapters.lab import jupyter


def test_make_lab_shows_the_chapters(tmp_path: Path) -> None:
    venv = Path(sys.executable).parents[1]
    # -o: the environment that runs this test is taken as it is.
    command = ["make", "-o", f"{venv}/ready", f"VENV={venv}", "lab"]
    with jupyter(command, tmp_path, cwd=ROOT) as address:
        with urlopen(f"{address}/api/contents") as answer:
            shown = {item["name"] for item in json.load(answer)["content"]}
        with urlopen(f"{address}/api/kernelspecs") as answer:
            kernels = json.load(answer)["kernelspecs"]
    assert {path.name for path in (ROOT / "book").glob("[0-9]*.ipynb")} <= shown
    assert "python3" in kernels  # which the chapters ask for
