"""The player, played in a real browser: by keyboard and by mouse, alone and among others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect
from torch import nn

from companion import Trace, trace
from companion.records.reading import by_layer
from companion.render.layers import number
from companion.render.player.fragment import page
from tests.browser import (
    NARROW,
    WIDE,
    problems_axe,
    problems_focus,
    problems_said,
    problems_sideways,
    visit,
)
from tests.test_player import HOSTILE, loop


def write(folder: Path, *fragments: str) -> str:
    """A page that holds the fragments; its address."""
    path = folder / "page.html"
    path.write_text(page("Players", "".join(fragments)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def right() -> Trace:
    return loop()


@pytest.fixture(scope="module")
def wrong() -> Trace:
    return loop(steps=3, clear=False)


@pytest.fixture
def played(browser: Browser, right: Trace, tmp_path: Path) -> Iterator[Page]:
    with visit(browser, write(tmp_path, right._repr_html_())) as opened:
        yield opened.page
        assert problems_said(opened) == []


def states(trace: Trace) -> list[list[list[str]]]:
    """What the player must show after so many lines: a row for each layer."""
    records = trace.records
    return [
        [
            [
                layer,
                *(
                    number(by_layer(readings)[layer], value)
                    for readings in (state.gradients, state.parameters)
                    for value in ("sum", "norm")
                ),
            ]
            for layer in by_layer(state.parameters)
        ]
        for state in (records[0].before, *(record.after for record in records))
    ]


def shown(player: Locator) -> list[list[str]]:
    """The rows of the player's table, without what is said to a screen reader only."""
    rows: list[list[str]] = player.locator(".rp-state tbody").evaluate(
        """body => [...body.rows].map(row => [...row.cells].map(
            cell => [...cell.childNodes].filter(node => node.className !== "rp-hidden")
                .map(node => node.textContent).join("")))"""
    )
    return rows


def bold(player: Locator) -> set[str]:
    """Which columns hold a changed cell."""
    columns: list[int] = player.locator(".rp-state tbody").evaluate(
        "body => [...body.querySelectorAll('b')].map(b => b.parentElement.cellIndex)"
    )
    return {("gradients", "parameters")[(column - 1) // 2] for column in columns}


def marked(player: Locator) -> str:
    """The line of code that is marked."""
    lines = player.locator('[aria-current="step"]').all_text_contents()
    return lines[0].strip() if lines else ""


def test_next_walks_through_every_state(played: Page, right: Trace) -> None:
    player = played.locator(".routine-player")
    following = player.get_by_role("button", name="Next")
    expected = states(right)
    for i, state in enumerate(expected):
        assert shown(player) == state
        record = right.records[i - 1]
        assert marked(player) == (record.source if i else "")
        changed = {
            kind
            for kind, names in (
                ("gradients", record.changed_gradients),
                ("parameters", record.changed_parameters),
            )
            if names
        }
        assert bold(player) == (changed if i else set())
        if i < len(expected) - 1:
            following.click()
    expect(following).to_be_disabled()
    player.get_by_role("button", name="Back", exact=True).click()
    assert shown(player) == expected[-2]


def test_keyboard_alone(played: Page, right: Trace) -> None:
    player = played.locator(".routine-player")
    last = len(right.records)
    reached = []
    for _ in range(12):
        played.keyboard.press("Tab")
        reached.append(played.evaluate("document.activeElement.type ?? ''"))
        if reached[-1] == "range":
            break
    assert "button" in reached
    assert reached[-1] == "range"
    slider = player.get_by_role("slider", name="Line")
    for key, position in [
        ("ArrowDown", 1),
        ("ArrowRight", 2),
        ("ArrowUp", 1),
        ("End", last),
        ("ArrowRight", last),
        ("ArrowLeft", last - 1),
        ("Home", 0),
        ("ArrowLeft", 0),
    ]:
        played.keyboard.press(key)
        assert slider.input_value() == str(position), key
        assert shown(player) == states(right)[position]
    played.keyboard.press("End")
    words = slider.get_attribute("aria-valuetext")
    assert words is not None
    assert words.startswith(f"{last} / {last}")
    assert problems_focus(played, 12) == []


def test_a_chord_is_left_to_the_browser(played: Page) -> None:
    slider = played.get_by_role("slider")
    played.get_by_role("button", name="Next").focus()
    played.keyboard.press("ArrowRight")
    played.keyboard.press("Control+ArrowRight")
    played.keyboard.press("Control+Home")
    assert slider.input_value() == "1"


def test_slider_and_lines_with_the_mouse(played: Page, right: Trace) -> None:
    player = played.locator(".routine-player")
    slider = player.get_by_role("slider")
    box = slider.bounding_box()
    assert box is not None
    played.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert shown(player) == states(right)[-1]
    player.get_by_role("button", name="loss.backward()").click()
    assert marked(player) == "loss.backward()"
    assert bold(player) == {"gradients"}


def test_play_runs_to_the_end_and_pause_stops_it(played: Page, right: Trace) -> None:
    player = played.locator(".routine-player")
    slider = player.get_by_role("slider")
    played.clock.install()
    player.get_by_role("button", name="Play").click()
    played.clock.run_for(3100)
    assert slider.input_value() == "3"
    player.get_by_role("button", name="Pause").click()
    played.clock.run_for(5000)
    assert slider.input_value() == "3"
    player.get_by_role("button", name="Play").click()
    played.clock.run_for(60_000)
    assert slider.input_value() == str(len(right.records))
    player.get_by_role("button", name="Start again").click()
    assert slider.input_value() == "0"


def test_a_finding_is_where_the_player_opens(
    browser: Browser, wrong: Trace, tmp_path: Path
) -> None:
    (finding,) = wrong.diagnose()
    with visit(browser, write(tmp_path, wrong._repr_html_())) as opened:
        player = opened.page.locator(".routine-player")
        assert player.get_by_role("slider").input_value() == str(finding.index + 1)
        assert marked(player).endswith("accumulates")
        said = player.locator(".rp-say")
        for words in (finding.observed, finding.why, finding.cure, finding.chapter):
            expect(said).to_contain_text(words)
        # A loop stands once in the listing; a click goes to the next run of the line.
        lines = player.locator(".rp-code button")
        assert lines.count() == len({record.place for record in wrong.records})
        start = int(player.get_by_role("slider").input_value())
        player.get_by_role("button", name="loss.backward()").click()
        runs = [r.index + 1 for r in wrong.records if r.place == (finding.file, finding.line)]
        assert int(player.get_by_role("slider").input_value()) == min(i for i in runs if i > start)
        expect(player).to_contain_text("step 3")


def test_several_players_do_not_disturb_each_other(
    browser: Browser, right: Trace, wrong: Trace, tmp_path: Path
) -> None:
    fragments = [right._repr_html_(), wrong._repr_html_(), right.play(predict=True).html]
    with visit(browser, write(tmp_path, *fragments)) as opened:
        players = opened.page.locator(".routine-player")
        assert players.locator(".rp-app").count() == 3
        before = [shown(players.nth(i)) for i in (1, 2)]
        players.nth(0).get_by_role("slider").focus()
        opened.page.keyboard.press("End")
        assert shown(players.nth(0)) == states(right)[-1]
        assert [shown(players.nth(i)) for i in (1, 2)] == before
        assert problems_said(opened) == []


def test_predict_first(browser: Browser, right: Trace, tmp_path: Path) -> None:
    """Nothing is shown before it is guessed, and every guess is judged where its line is marked."""
    with visit(browser, write(tmp_path, right.play(predict=True).html)) as opened:
        player = opened.page.locator(".routine-player")
        following = player.get_by_role("button", name="Next")
        said = player.locator(".rp-say")
        guesses = ["gradients", *["neither"] * 3, "both", "gradients", "parameters"]
        truth = [*["neither"] * 5, "gradients", "parameters"]  # and then the end of the loop
        for i, (guess, answer) in enumerate(zip(guesses, truth, strict=True)):
            record = right.records[i]
            expect(following).to_be_disabled()
            expect(said).to_have_text(f"{record.line}: {record.source} What will this line change?")
            assert shown(player) == states(right)[i]
            assert bold(player) == set()  # or it would seem to be the marked line's doing
            assert marked(player) == record.source
            following.focus()
            for key in ("ArrowRight", "End", "Enter"):  # no way past the question
                opened.page.keyboard.press(key)
            assert shown(player) == states(right)[i]
            player.get_by_role("button", name=guess, exact=True).click()
            expect(said).to_contain_text(
                f"{'Right' if guess == answer else 'No'}: it changes {answer}."
            )
            assert shown(player) == states(right)[i + 1]
            assert marked(player) == record.source
            assert bold(player) == ({answer} if answer != "neither" else set())
            expect(following).to_be_focused()
            opened.page.keyboard.press("Enter")  # on to the next question
        player.get_by_role("button", name="neither", exact=True).click()
        expect(said).to_contain_text("Guessed right: 6 / 8")
        player.get_by_role("button", name="Back", exact=True).click()
        expect(said).to_contain_text("Right: it changes parameters.")
        following.click()
        expect(said).to_contain_text("Guessed right: 6 / 8")
        expect(following).to_be_focused()


def test_predict_first_judges_by_the_line_not_by_the_layers_shown(
    browser: Browser, tmp_path: Path
) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(net[1].parameters(), lr=0.1)
    net(torch.ones(1, 2)).sum().backward()
    with trace(net, optimizer) as routine:
        optimizer.step()
    with visit(browser, write(tmp_path, routine.play(predict=True, layers=["0"]).html)) as opened:
        player = opened.page.locator(".routine-player")
        player.get_by_role("button", name="parameters", exact=True).click()
        said = player.locator(".rp-say")
        expect(said).to_contain_text("Right: it changes parameters.")
        expect(said).to_contain_text("Guessed right: 1 / 1")
        assert bold(player) == set()


def test_predict_first_gives_no_hint(browser: Browser, wrong: Trace, tmp_path: Path) -> None:
    """What the diagnosis says of a line is shown when there is nothing left to guess."""
    with visit(browser, write(tmp_path, wrong.play(predict=True).html)) as opened:
        player = opened.page.locator(".routine-player")
        mark = player.locator("mark", has_text="accumulates")
        for i in range(len(wrong.records)):
            expect(mark).to_be_hidden()
            player.get_by_role("button", name="both", exact=True).click()
            if i < len(wrong.records) - 1:
                player.get_by_role("button", name="Next").click()
        expect(mark).to_be_visible()


def test_the_focus_stays_where_there_is_nothing_more_to_do(played: Page, right: Trace) -> None:
    following = played.get_by_role("button", name="Next")
    following.focus()
    for _ in range(len(right.records) + 2):
        played.keyboard.press("Enter")
    expect(following).to_be_disabled()
    expect(following).to_be_focused()
    played.keyboard.press("ArrowLeft")
    assert played.get_by_role("slider").input_value() == str(len(right.records) - 1)


def test_the_listing_is_one_stop_and_the_focus_follows_the_line(played: Page) -> None:
    lines = played.locator(".rp-code button")
    assert [line.get_attribute("tabindex") for line in lines.all()].count("0") == 1
    played.keyboard.press("Tab")
    expect(lines.first).to_be_focused()
    for _ in range(2):
        played.keyboard.press("ArrowDown")
    expect(lines.nth(1)).to_be_focused()
    assert [line.get_attribute("tabindex") for line in lines.all()].count("0") == 1
    played.keyboard.press("Tab")
    expect(lines.nth(1)).not_to_be_focused()
    assert played.evaluate("document.activeElement.closest('.rp-code')") is None


def test_what_a_screen_reader_is_told(played: Page) -> None:
    player = played.locator(".routine-player")
    player.get_by_role("button", name="loss.backward()").click()
    expect(player.locator(".rp-say")).to_contain_text("loss.backward() gradients: 10 None → value")
    for header in player.locator(".rp-state tbody").get_by_role("rowheader").all():
        assert (header.text_content() or "").endswith(", gradient changed")
    player.get_by_role("button", name="Back", exact=True).click()
    assert "changed" not in (player.locator(".rp-state tbody").text_content() or "")


def test_two_layers_that_are_called_alike_are_two(browser: Browser, tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    net.add_module("(net)", nn.Linear(2, 1))
    with trace(net) as routine:
        net.weight.data.add_(1)
    with visit(browser, write(tmp_path, routine._repr_html_())) as opened:
        player = opened.page.locator(".routine-player")
        player.get_by_role("button", name="Next").click()
        assert [row[0] for row in shown(player)] == ["(net)", "(net)"]
        assert player.locator(".rp-state td:has(b)").count() == 2


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
