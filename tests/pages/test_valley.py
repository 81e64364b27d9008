"""The valley in a browser: torch's numbers, sliders by keyboard, narrow, dark, without scripts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from companion.render.operate import valley
from companion.render.operate.valley import points
from tests.pages.browser import NARROW, WIDE, problems_axe, problems_said, problems_sideways, visit
from tests.pages.building import build, small_book

BOTH = {"SGD": {"lr": 0.09}, "Adam": {"lr": 0.3}}


def write(folder: Path) -> str:
    """A page with two valleys; its address."""
    path = folder / "valley.html"
    one = valley(SGD={"lr": 0.09, "momentum": 0.0})
    replace(one, html=one.html + valley(steps=40, **BOTH).html).save(path)
    return path.as_uri()


def test_the_script_walks_as_torch_does(browser: Browser, tmp_path: Path) -> None:
    cases = [("SGD", {"lr": lr, "momentum": m}) for lr in (0.03, 0.09, 0.12) for m in (0, 0.5, 0.9)]
    cases += [("Adam", {"lr": lr}) for lr in (0.05, 0.3, 1)]
    with visit(browser, write(tmp_path)) as opened:
        for name, options in cases:
            walked = opened.page.evaluate(
                "([name, options]) => document.querySelector('.routine-valley')"
                ".routineValley(name, options, 60)",
                [name, options],
            )
            expected = points(name, options, 60)
            assert len(walked) == 61
            for mine, torchs in zip(walked, expected, strict=True):
                assert mine == pytest.approx(torchs, rel=1e-9, abs=1e-9), (name, options)
        assert problems_said(opened) == []


def test_the_first_picture_is_the_one_that_was_stored(browser: Browser, tmp_path: Path) -> None:
    look = "() => [...document.querySelectorAll('.ro-picture, [data-name]')].map(e => e.outerHTML)"
    with visit(browser, write(tmp_path), java_script_enabled=False) as opened:
        stored = opened.page.evaluate(look)
        expect(opened.page.locator("input").first).to_be_hidden()
        expect(opened.page.get_by_role("img").first).to_be_visible()
    with visit(browser, write(tmp_path)) as opened:
        assert opened.page.evaluate(look) == stored


def test_sliders_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    with visit(browser, write(tmp_path)) as opened:
        first, second = opened.page.locator(".routine-valley").all()
        line, other = first.locator("[data-name]"), second.locator(".ro-0.ro-line").nth(0)
        before, untouched = (
            first.locator(".ro-line").first.get_attribute("d"),
            other.get_attribute("d"),
        )
        expect(line).to_have_text("SGD: 0.30 from the bottom after 30 steps")
        opened.page.keyboard.press("Tab")
        expect(first.get_by_role("slider", name="lr", exact=True)).to_be_focused()
        for _ in range(4):
            opened.page.keyboard.press("ArrowRight")
        expect(line).to_have_text(
            "SGD: 237.38 from the bottom after 30 steps, farther than at the start"
        )
        expect(first.locator(".ro-slider").first).to_contain_text("0.11")
        assert first.locator(".ro-line").first.get_attribute("d") != before
        assert other.get_attribute("d") == untouched
        opened.page.keyboard.press("Tab")
        for _ in range(10):
            opened.page.keyboard.press("ArrowRight")
        expect(first.get_by_role("slider", name="momentum")).to_have_value("0.5")
        expect(line).to_contain_text("0.00 from the bottom")
        assert line.evaluate("e => e.closest('[aria-live]').ariaLive") == "polite"
        assert problems_said(opened) == []


@pytest.mark.parametrize("size", [WIDE, (390, 800), NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_accessible(
    browser: Browser, tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    with visit(browser, write(tmp_path), size, color_scheme=scheme) as opened:
        assert problems_sideways(opened.page) == []
        assert problems_axe(opened.page) == []
        assert problems_said(opened) == []


def test_in_the_book(browser: Browser, tmp_path: Path) -> None:
    """Two share one script, which the page's policy lets run; the ink is that of the theme."""
    raw = f"```{{raw}} html\n{valley(SGD={'lr': 0.09}).html}```\n\n"
    done = build(small_book(tmp_path, f"{raw}Text.\n\n{raw}"), tmp_path)
    assert done.code == 0, done
    page = tmp_path / "_build/html/index.html"
    html = page.read_text(encoding="utf-8")
    assert html.count('<script src="_static/valley.js"></script>') == 2
    assert "const STEEP" not in html
    inks = []
    for scheme in "light", "dark":
        with visit(browser, page.as_uri(), (390, 800), color_scheme=scheme) as opened:
            slider = opened.page.get_by_role("slider").nth(1)
            slider.press("ArrowLeft")
            expect(opened.page.locator("[data-name]").nth(0)).to_contain_text("0.30")
            expect(opened.page.locator("[data-name]").nth(1)).to_contain_text("0.35")
            line = opened.page.locator(".ro-picture .ro-line").first
            inks.append(line.evaluate("line => getComputedStyle(line).stroke"))
            problems = [*problems_sideways(opened.page), *problems_axe(opened.page)]
            assert [*problems, *problems_said(opened)] == []
    assert len(set(inks)) == 2
