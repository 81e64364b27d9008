"""The valley with sliders, without a browser: torch's path, whole without scripts, stable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from companion.render.operate import valley
from companion.render.operate.valley import WORDS, points
from companion.render.page import asset

BOTH = {"SGD": {"lr": 0.09}, "Adam": {"lr": 0.3}}


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"lr": 0.03, "momentum": 0.9}), ("SGD", {"lr": 0.11}), ("Adam", {"lr": 0.3})],
)
def test_the_path_is_that_of_a_loop(name: str, options: dict[str, float]) -> None:
    """The gradient that is written down is the one that `backward` computes."""
    place = torch.tensor([-3.0, 2.0], dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([place], **options)
    seen = [place.tolist()]
    for _ in range(30):
        optimizer.zero_grad()
        loss = (place[0] - 2) ** 2 / 2 + 20 * (place[1] - 1) ** 2 / 2
        loss.backward()
        optimizer.step()
        seen.append(place.tolist())
    assert torch.allclose(torch.tensor(points(name, options, 30)), torch.tensor(seen))


def test_it_is_whole_without_scripts() -> None:
    html = valley(steps=40, **BOTH).html
    assert html.count('class="ro-0 ro-dots" d="M') == html.count('class="ro-1 ro-dots" d="M') == 2
    assert re.search(r'ro-1 ro-dots" d="([^"]*)"/>\n', html)[1].count("M") == 41  # type: ignore[index]
    assert ">SGD: 0.11 from the bottom after 40 steps<" in html
    assert '<div class="ro-sliders" hidden>' in html


def test_a_path_that_runs_away_is_said_to() -> None:
    assert "SGD: 237.38 from the bottom after 30 steps, farther" in valley(SGD={"lr": 0.11}).html
    assert re.search(r"SGD: \d\.\de\+\d+ from", valley(steps=90, SGD={"lr": 0.12}).html)


def test_the_same_call_is_the_same_text_and_has_no_ids() -> None:
    html = valley(steps=40, **BOTH).html
    assert html == valley(steps=40, **BOTH)._repr_html_()
    assert " id=" not in html
    assert "http" not in html


def test_words_are_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "<b>\"'&"
    monkeypatch.setitem(WORDS, "near", bad)
    monkeypatch.setitem(WORDS, "picture", bad)
    assert "<b>" not in valley(SGD={"lr": 0.09}).html


def test_script_and_style_are_small() -> None:
    assert sum(len(asset(path)) for path in valley(SGD={"lr": 0.09}).assets) < 10_000


def test_a_page_is_saved(tmp_path: Path) -> None:
    one = valley(steps=40, **BOTH)
    one.save(tmp_path / "valley.html")
    assert one.html in (tmp_path / "valley.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        ({}, "needs an optimizer"),
        ({"RMSprop": {"lr": 0.1}}, "no slider for 'lr' of 'RMSprop'"),
        ({"SGD": {"lr": 0.5}}, "lr of SGD is 0.5, not from 0 to 0.12"),
        ({"SGD": {"momentum": 0.5}}, "'SGD' needs an lr"),
    ],
)
def test_what_is_refused(optimizers: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        valley(steps=30, **optimizers)
