"""A report by a library's parts, where there is little room: the same words, below each other."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from torch import nn

from companion import Trace, trace
from companion.render.columns import columns
from companion.render.narrow import folded
from companion.render.paint import coloured, unpainted
from companion.render.text import text
from tests.package.command.library import TINY
from tests.package.running import write


def compute_loss(self: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    outputs = self.net(x)
    return nn.functional.mse_loss(outputs, y)


@pytest.fixture
def routine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trace:
    """Of a library that runs the loop, calls a method of ours, and never clears."""
    write(tmp_path, TINY, "site-packages/companion_tiny.py")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    library: Any = importlib.import_module("companion_tiny")

    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    rates = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    batches = [(torch.randn(4, 4), torch.randn(4, 1)) for _ in range(3)]
    mine = library.Trainer(net, optimizer, rates, clears=False, clip=100.0)
    mine.compute_loss = MethodType(compute_loss, mine)
    with trace(net, optimizer, into=[compute_loss]) as routine:
        mine.fit(batches)
    monkeypatch.delitem(sys.modules, "companion_tiny")
    return routine


def shown(routine: Trace, width: int | None, **options: Any) -> str:
    findings = routine.diagnose()
    return text(routine.records, network="Net", findings=findings, width=width, **options)


def words(said: str) -> list[str]:
    """Without the heads, and what folding alone tells."""
    return sorted(said.replace("changed\n", "\n").replace(";", " ").split())


def test_it_has_parts_and_lines_and_a_finding(routine: Trace) -> None:
    said = shown(routine, None)
    assert "your line: test_parts.py:" in said
    for part in ("compute_loss, test_parts.py", "outputs = self.net(x)", "^ accumulates"):
        assert part in said
    assert max(map(columns, said.splitlines())) > 80


@pytest.mark.parametrize("width", [80, 60, 40])
def test_it_fits_and_says_the_same(routine: Trace, width: int) -> None:
    wide, narrow = shown(routine, None), shown(routine, width)
    assert words(narrow) == words(wide)
    for line in narrow.splitlines():
        assert columns(line) <= width or len(line.split()) <= 2, line  # a word stays whole
    assert "\n  3x  optimizer  step\n        4 parameters\n" in narrow


def test_where_there_is_room_it_stays(routine: Trace) -> None:
    wide = shown(routine, None)
    assert shown(routine, max(map(columns, wide.splitlines()))) == wide


@pytest.mark.parametrize("width", [None, 40])
def test_its_colours_are_around_the_same_words(routine: Trace, width: int | None) -> None:
    painted = shown(routine, width, paint=coloured)
    assert unpainted(painted) == shown(routine, width)
    for some in ("\x1b[1myour line: ", "\x1b[36m4 gradients", "\x1b[35m4 parameters", "\x1b[2m"):
        assert some in painted
    assert "\x1b[1;31m^ accumulates\x1b[0m" in painted


def test_a_page_folds_what_was_printed_wide(routine: Trace) -> None:
    told = f"companion: watched\n{shown(routine, None)}\n\nits lines: --into companion_tiny.Trainer"
    narrow = folded(told, 38)
    assert words(narrow) == words(told)
    table = shown(routine, 38).split("runs  where  what\n")[1].split("\n\n")[0]
    assert table in narrow
