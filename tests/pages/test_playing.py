"""The player, played in a real browser: by keyboard and by mouse."""

from __future__ import annotations

from pathlib import Path

import torch
from playwright.sync_api import Browser, Page, expect
from torch import nn

from companion import Trace, trace
from tests.pages.browser import problems_focus, problems_said, visit
from tests.pages.playing import bold, marked, shown, states, write


def test_next_walks_through_every_state(played: Page, right: Trace) -> None:
    player = played.locator(".routine-player")
    following = player.get_by_role("button", name="Next")
    expected = states(right)
    for i, state in enumerate(expected):
        assert shown(player) == state
        record = right.records[i - 1]
        assert marked(player) == (record.source if i else "")
        when = f"after line {record.line}" if i else "before the first line"
        assert player.locator(".rp-app caption").inner_text() == when
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
        for words in (finding.observed, finding.why, finding.cure, f"explain {finding.rule}"):
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
