"""The player among others: saved, printed, framed, without scripts, with names that are hostile."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, expect
from torch import nn

from companion import Trace, trace
from tests.package.render.played import HOSTILE
from tests.pages.browser import NARROW, WIDE, problems_axe, problems_said, problems_sideways, visit
from tests.pages.playing import write


def test_a_saved_page_plays_again(browser: Browser, right: Trace, tmp_path: Path) -> None:
    with visit(browser, write(tmp_path, right._repr_html_())) as opened:
        saved = tmp_path / "saved.html"
        saved.write_text(opened.page.content(), encoding="utf-8")
    with visit(browser, saved.as_uri()) as opened:
        player = opened.page.locator(".routine-player")
        assert player.locator(".rp-app").count() == 1
        player.get_by_role("button", name="Next").click()
        expect(player.get_by_role("slider")).to_have_value("1")


AROUND = {
    "flex": ("<div style='display: flex'>", "</div>"),
    "inline-block": ("<div style='display: inline-block'>", "</div>"),
    "right to left": ("<div dir='rtl'>", "</div>"),
    "capitals": ("<style>button, li, p {text-transform: uppercase; width: 100%}</style>", ""),
}


@pytest.mark.parametrize("around", AROUND)
def test_among_a_page_of_its_own_kind(
    browser: Browser, right: Trace, tmp_path: Path, around: str
) -> None:
    before, after = AROUND[around]
    with visit(browser, write(tmp_path, before + right._repr_html_() + after)) as opened:
        player = opened.page.locator(".routine-player")
        box = player.bounding_box()
        assert box is not None
        assert box["width"] >= 250
        line = player.get_by_role("button", name="loss.backward()")
        assert "loss.backward()" in line.inner_text()  # as it is seen: not turned, not in capitals
        assert line.locator("span").evaluate("e => getComputedStyle(e).direction") == "ltr"
        following = player.get_by_role("button", name="Next").bounding_box()
        assert following is not None
        assert following["width"] < 100


def test_high_contrast(browser: Browser, right: Trace, tmp_path: Path) -> None:
    """Windows paints every border and no shadow: the marked line and the changed cells are told."""
    address = write(tmp_path, right._repr_html_())
    with visit(browser, address, forced_colors="active") as opened:
        player = opened.page.locator(".routine-player")
        player.get_by_role("button", name="loss.backward()").click()
        edges = player.locator(".rp-code button").evaluate_all(
            "lines => lines.map(line => getComputedStyle(line).borderLeftColor)"
        )
        assert len(set(edges)) == 2
        changed = player.locator(".rp-state td:has(b)").first
        assert changed.evaluate("cell => getComputedStyle(cell).outlineStyle") == "solid"


def test_long_names_leave_the_code_its_room(browser: Browser, tmp_path: Path) -> None:
    net = nn.Module()
    net.add_module("encoder_layer_attention_output_dense_projection_weights", nn.Linear(2, 1))
    layer = next(net.children())
    with trace(net) as routine:
        layer(torch.ones(1, 2)).sum().backward()
    with visit(browser, write(tmp_path, routine._repr_html_()), (800, 700)) as opened:
        player = opened.page.locator(".routine-player")
        whole, code = player.bounding_box(), player.locator(".rp-code").bounding_box()
        assert whole is not None
        assert code is not None
        assert code["width"] > whole["width"] * 0.45
        assert problems_sideways(opened.page) == []


def test_hostile_names_never_run(browser: Browser, tmp_path: Path) -> None:
    scope: dict[str, object] = {}
    code = (
        "from companion import trace\nfrom torch import nn\nnet = nn.Module()\n"
        f"net.add_module({HOSTILE.replace('.', '')!r}, nn.Linear(2, 1))\n"
        "layer = next(net.children())\n"
        f"with trace(net) as routine:\n    layer.weight.data.add_(1)  # {HOSTILE}\n"
    )
    path = tmp_path / "loop.py"
    path.write_text(code)
    exec(compile(code, str(path), "exec"), scope)
    routine = scope["routine"]
    assert isinstance(routine, Trace)
    with visit(browser, write(tmp_path, routine._repr_html_())) as opened:
        opened.page.on("dialog", lambda dialog: pytest.fail(f"ran: {dialog.message}"))
        player = opened.page.locator(".routine-player")
        player.get_by_role("button", name="Next").click()
        assert player.locator("img").count() == 0
        expect(player.locator(".rp-code")).to_contain_text(HOSTILE)
        expect(player.locator(".rp-state")).to_contain_text(HOSTILE.replace(".", ""))
        assert problems_said(opened) == []


def test_without_scripts_the_table_stands_open(
    browser: Browser, right: Trace, tmp_path: Path
) -> None:
    address = write(tmp_path, right._repr_html_())
    with visit(browser, address, java_script_enabled=False) as opened:
        assert opened.page.locator(".rp-app").count() == 0
        for record in right.records:
            expect(opened.page.get_by_text(record.source, exact=True).first).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_ends_with_the_findings(
    browser: Browser, wrong: Trace, tmp_path: Path, scripts: bool, scheme: str
) -> None:
    """Whole on a phone, and without scripts as well; where one is to guess they are folded."""
    wrong.play().save(tmp_path / "wrong.html")
    address = (tmp_path / "wrong.html").as_uri()
    options = {"java_script_enabled": scripts, "color_scheme": scheme}
    with visit(browser, address, NARROW, **options) as opened:
        (finding,) = wrong.diagnose()
        below = opened.page.locator("main > details", has_text="1 finding")
        assert f"Line {finding.line}: {finding.source}" in below.inner_text()
        for words in finding.observed, finding.why, finding.cure, f"explain {finding.rule}":
            expect(below.get_by_text(words)).to_be_visible()
        if not scripts:  # the table is not in a box of its own, which would hide most of it
            assert (
                opened.page.locator(".rp-wide").evaluate("e => e.scrollHeight - e.clientHeight")
                <= 20
            )
        else:
            assert problems_axe(opened.page) == []
            assert problems_sideways(opened.page) == []
        assert problems_said(opened) == []
    wrong.play(predict=True).save(tmp_path / "wrong.html")
    with visit(browser, address, NARROW, **options) as opened:
        expect(opened.page.get_by_text(wrong.diagnose()[0].observed).last).to_be_hidden()


def test_in_a_sandboxed_frame(browser: Browser, right: Trace, tmp_path: Path) -> None:
    """As Colab shows an output: a frame without an origin of its own."""
    inner = right._repr_html_().replace("&", "&amp;").replace('"', "&quot;")
    frame = f'<iframe sandbox="allow-scripts" srcdoc="{inner}" width="700" height="500"></iframe>'
    with visit(browser, write(tmp_path, frame)) as opened:
        player = opened.page.frame_locator("iframe").locator(".routine-player")
        player.get_by_role("button", name="Next").click()
        expect(player.get_by_role("slider")).to_have_value("1")
        assert problems_said(opened) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_accessible_and_in_its_place(
    browser: Browser, wrong: Trace, tmp_path: Path, scheme: str, size: tuple[int, int]
) -> None:
    fragments = [wrong._repr_html_(), wrong.play(predict=True).html]
    with visit(browser, write(tmp_path, *fragments), size, color_scheme=scheme) as opened:
        assert problems_axe(opened.page) == []
        assert problems_sideways(opened.page) == []
        for summary in opened.page.locator("summary").all():
            summary.click()
        assert problems_axe(opened.page) == []
        assert problems_sideways(opened.page) == []


def test_no_meaning_by_colour_alone(played: Page) -> None:
    """What changed is bold and framed; the marked line is bold and has a bar; None is italic."""
    player = played.locator(".routine-player")
    assert player.locator(".rp-state i").first.text_content() == "None"
    player.get_by_role("button", name="loss.backward()").click()
    changed = player.locator(".rp-state td:has(b)").first
    assert changed.locator("b").evaluate("b => getComputedStyle(b).fontWeight") == "700"
    assert "inset" in changed.evaluate("cell => getComputedStyle(cell).boxShadow")
    line = player.locator("[aria-current]")
    assert line.evaluate("line => getComputedStyle(line).fontWeight") == "600"
    assert line.evaluate("line => getComputedStyle(line).borderLeftColor") == "rgb(154, 103, 0)"


def test_reduced_motion(browser: Browser, right: Trace, tmp_path: Path) -> None:
    address = write(tmp_path, right._repr_html_())
    durations = {}
    for motion in ("reduce", "no-preference"):
        with visit(browser, address, reduced_motion=motion) as opened:
            line = opened.page.locator(".rp-code button").first
            durations[motion] = line.evaluate("line => getComputedStyle(line).transitionDuration")
    assert durations == {"reduce": "0s", "no-preference": "0.15s"}


def test_on_paper_there_is_the_table(played: Page, right: Trace) -> None:
    played.emulate_media(media="print")
    expect(played.locator(".rp-app")).to_be_hidden()
    expect(played.locator(".rp-wide")).to_be_visible()
    for line in played.locator(".rp-wide code").all():
        expect(line).to_be_visible()
    assert played.locator(".rp-wide code").count() == len(right.records)


def test_a_browser_that_prints_what_is_folded_as_nothing(played: Page) -> None:
    """The table is unfolded for the paper, and folded again."""
    table = played.locator("details")
    for event, unfolded in {"beforeprint": True, "afterprint": False}.items():
        played.evaluate("event => dispatchEvent(new Event(event))", event)
        assert table.evaluate("details => details.open") is unfolded


def test_a_long_listing_follows_the_marked_line(browser: Browser, tmp_path: Path) -> None:
    """It scrolls in its own box; the page stays where it is."""
    lines = "".join(f"    a{i} = net(x)\n" for i in range(50))
    code = (
        "import torch\nfrom torch import nn\nfrom companion import trace\n"
        f"net, x = nn.Linear(2, 1), torch.ones(1, 2)\nwith trace(net) as routine:\n{lines}"
    )
    path = tmp_path / "loop.py"
    path.write_text(code)
    scope: dict[str, object] = {}
    exec(compile(code, str(path), "exec"), scope)
    routine = scope["routine"]
    assert isinstance(routine, Trace)
    with visit(browser, write(tmp_path, routine._repr_html_())) as opened:
        opened.page.get_by_role("slider").focus()
        opened.page.keyboard.press("End")
        inside = opened.page.locator(".rp-code").evaluate(
            """async box => {
                await new Promise(requestAnimationFrame);  // the player asked for this frame, too
                const [outer, inner] = [box, box.querySelector("[aria-current]")]
                    .map(element => element.getBoundingClientRect());
                return inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
            }"""
        )
        assert inside
        assert opened.page.evaluate("scrollY") == 0
