"""A notebook that ends a cell with a trace, exported: the lines and the findings are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.package.running import python

SETUP = """\
import torch
from torch import nn
from companion import trace
torch.manual_seed(0)
net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
x, y = torch.randn(8, 4), torch.randn(8, 1)
"""
LOOP = """\
with trace(net, optimizer) as routine:
    for _ in range(3):
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
routine
"""
LINES = [line.strip() for line in LOOP.splitlines()[1:-1]]
FOUND = "backward() added to gradients that optimizer had already used"


def cell(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"cell{len(source)}",
        "metadata": {},
        "outputs": [],
        "source": source,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook when it has run, and what nbconvert makes of it as Markdown."""
    pytest.importorskip("nbconvert")
    folder = tmp_path_factory.mktemp("exported")
    named = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    told = {
        "cells": [cell(SETUP), cell(LOOP)],
        "metadata": named,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / "loop.ipynb").write_text(json.dumps(told))
    for made in ["notebook", "--inplace", "--execute"], ["markdown"]:
        python(folder, "-m", "nbconvert", "--to", *made, "loop.ipynb").well()
    return folder


def test_markdown(folder: Path) -> None:
    """A viewer that takes its HTML shows all: no empty line ends the block too early."""
    markdown_it, bs4 = map(pytest.importorskip, ("markdown_it", "bs4"))
    text = (folder / "loop.md").read_text(encoding="utf-8").rpartition("```")[2]
    page = bs4.BeautifulSoup(markdown_it.MarkdownIt("commonmark").render(text), "html.parser")
    for line in LINES:
        assert [code for code in page.select("table code") if code.get_text().strip() == line]
    (finding,) = (one for one in page.select(".rp-finding") if FOUND in one.get_text())
    assert "accumulates" in finding.get_text()
    assert "companion explain accumulates" in finding.get_text()
    assert not page.select("pre > code")  # nothing of it was taken for Markdown's own code


def test_the_text_beside_the_page(folder: Path) -> None:
    """What an export takes that has no HTML, such as one to LaTeX."""
    cells = json.loads((folder / "loop.ipynb").read_text(encoding="utf-8"))["cells"]
    (output,) = cells[1]["outputs"]
    text = "".join(output["data"]["text/plain"])
    assert text.startswith("Trace of Linear, 2 parameters")
    assert all(line in text for line in LINES)
    assert "^ accumulates" in text
    assert FOUND in " ".join(text.split())
