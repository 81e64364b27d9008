"""Players in a page, and what they must show."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator

from companion import Trace
from companion.records.reading import by_layer
from companion.render.layers import number
from companion.render.player.fragment import page


def write(folder: Path, *fragments: str) -> str:
    """A page that holds the fragments; its address."""
    path = folder / "page.html"
    path.write_text(page("Players", "".join(fragments)), encoding="utf-8")
    return path.as_uri()


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
