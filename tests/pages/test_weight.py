"""The grids of a parameter in a browser: by keyboard, by pointer, narrow, dark, without scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Locator, expect
from torch import nn

from companion.render.operate import weight
from tests.pages.browser import NARROW, WIDE, problems_axe, problems_said, problems_sideways, visit


@pytest.fixture
def layer() -> nn.Linear:
    """Of 10 rows and 84 columns, with a gradient."""
    torch.manual_seed(0)
    one = nn.Linear(84, 10)
    one(torch.rand(4, 84)).square().sum().backward()
    return one


def write(folder: Path, layer: nn.Linear) -> str:
    """A page that holds its weight; its address."""
    weight(layer.weight, "layer.weight").save(folder / "weight.html")
    return (folder / "weight.html").as_uri()


def expect_entry(root: Locator, layer: nn.Linear, row: int, column: int) -> None:
    """What is said is what the two tensors hold there, and both marks stand there."""
    assert layer.weight.grad is not None
    expect(root.locator("[data-name]")).to_have_text(
        [
            f"layer.weight[{row}, {column}] = {layer.weight[row, column].item():.4g}",
            f"layer.weight.grad[{row}, {column}] = {layer.weight.grad[row, column].item():.4g}",
        ]
    )
    for mark in root.locator(".ro-mark").all():
        expect(mark).to_have_attribute("x", str(column))
        expect(mark).to_have_attribute("y", str(row))


def test_sliders_by_keyboard(browser: Browser, tmp_path: Path, layer: nn.Linear) -> None:
    with visit(browser, write(tmp_path, layer)) as opened:
        root = opened.page.locator(".routine-weight")
        expect_entry(root, layer, 0, 0)
        opened.page.keyboard.press("Tab")
        expect(root.get_by_role("slider", name="row")).to_be_focused()
        opened.page.keyboard.press("ArrowRight")
        opened.page.keyboard.press("Tab")
        opened.page.keyboard.press("End")
        expect_entry(root, layer, 1, 83)
        said = root.locator("[data-name]").first
        assert said.evaluate("e => e.closest('[aria-live]').ariaLive") == "polite"
        assert problems_said(opened) == []


def test_a_pointer_in_either_grid(browser: Browser, tmp_path: Path, layer: nn.Linear) -> None:
    with visit(browser, write(tmp_path, layer)) as opened:
        root = opened.page.locator(".routine-weight")
        for grid in root.locator(".ro-grid").all():
            box = grid.bounding_box()
            assert box is not None
            mouse, middle = opened.page.mouse, box["x"] + box["width"] * 20.5 / 84
            mouse.move(middle, box["y"] + box["height"] * 0.35)
            mouse.down()
            expect_entry(root, layer, 3, 20)
            mouse.move(middle, box["y"] + box["height"] * 0.75)
            mouse.up()
            expect_entry(root, layer, 7, 20)
            mouse.move(box["x"] + 2, box["y"] + 2)  # no button: it only passes
            expect_entry(root, layer, 7, 20)
        expect(root.get_by_role("slider", name="column")).to_have_value("20")
        assert problems_said(opened) == []


def test_without_scripts(browser: Browser, tmp_path: Path, layer: nn.Linear) -> None:
    with visit(browser, write(tmp_path, layer), java_script_enabled=False) as opened:
        expect(opened.page.get_by_role("img")).to_have_count(2)
        expect(opened.page.locator("input").first).to_be_hidden()
        expect(opened.page.locator(".ro-mark").first).to_be_hidden()
        expect(opened.page.locator("[data-name]").first).to_contain_text("layer.weight[0, 0] = ")


def test_no_gradient(browser: Browser, tmp_path: Path) -> None:
    with visit(browser, write(tmp_path, nn.Linear(84, 10))) as opened:
        opened.page.get_by_role("slider", name="row").press("ArrowRight")
        expect(opened.page.locator("[data-name]").first).to_contain_text("layer.weight[1, 0] = ")
        expect(opened.page.locator("[data-name]").last).to_have_text("layer.weight.grad = None")
        assert problems_said(opened) == []


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_accessible(
    browser: Browser, tmp_path: Path, layer: nn.Linear, size: tuple[int, int], scheme: str
) -> None:
    with visit(browser, write(tmp_path, layer), size, color_scheme=scheme) as opened:
        assert problems_sideways(opened.page) == []
        assert problems_axe(opened.page) == []
        assert problems_said(opened) == []


def test_in_chapter_2(browser: Browser, book: Path) -> None:
    """The page's policy lets its script run."""
    with visit(browser, (book / "02_parameters_and_grad.html").as_uri()) as opened:
        root = opened.page.locator(".routine-weight")
        root.get_by_role("slider", name="column").press("End")
        expect(root.locator("[data-name]").first).to_contain_text("net.fc3.weight[0, 83] = ")
        assert problems_said(opened) == []
