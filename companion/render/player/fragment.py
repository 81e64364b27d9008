"""A trace as a fragment of HTML that plays: step through the lines, see what each one changed.

The fragment is one table that is complete by itself: what every layer held on entering, then each
line with the layers it changed. Where scripts run, `player.js` reads that table and builds the
player above it; where they are stripped (GitHub, a notebook that is not trusted) the table is
there. It asks nothing of any network, kernel or library, takes its colours from the page around
it, and the same trace is always the same text.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from companion.records.finding import Finding
from companion.records.line import LineRecord
from companion.records.visible import visible
from companion.render.finding import as_html, shown
from companion.render.layers import chosen_layers
from companion.render.page import asset
from companion.render.page import page as around
from companion.render.player.table import bodies

LAYERS = 32  # shown unless the user names others
ROWS = 600  # of layers, in one player: what bounds the lines of a long trace
LINES = 60  # shown of a long trace, if its layers leave room
AROUND = 2  # lines shown before and after one that a finding objects to

ASSETS = tuple(Path(__file__).with_name(f"player.{kind}") for kind in ("css", "js"))


@dataclass(frozen=True, slots=True)
class Player:
    """A trace that can be played line by line; a notebook shows it when it ends a cell.

    Attributes:
        title: "Trace of Net, 10 parameters".
        html: The fragment.
        findings: What was found, as HTML, one below the other; a page of its own ends with it.
    """

    title: str
    html: str
    findings: str = ""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a page of its own, which any browser opens, offline too.

        Below the player stands each finding. Its Content-Security-Policy lets a browser run the
        player's own script and nothing else, and asks no one for anything.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            OSError: If the file cannot be written.
        """
        Path(path).write_text(page(self.title, self.html + self.findings), encoding="utf-8")

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Player: {visible(self.title)}>"


def page(title: str, fragment: str) -> str:
    """A whole page around a player, or several."""
    return around(title, fragment, ASSETS)


def player(
    records: Sequence[LineRecord],
    *,
    network: str,
    findings: Sequence[Finding] = (),
    predict: bool = False,
    layers: Sequence[str] | str | None = None,
) -> Player:
    """The player of a trace; `Trace.play` says what its arguments are.

    A long trace is cut: its first and its last lines stay, and those around each finding; what
    was left out is said where it is missing.
    """
    names = chosen_layers(records, layers) if records else []
    hidden = 0
    if layers is None and len(names) > LAYERS:
        hidden = len(names) - LAYERS
        names = [*names[: LAYERS // 2], *names[-LAYERS // 2 :]]
    title = f"Trace of {network}"
    if not records:
        return Player(title, f"<p>{shown(title)}: no line ran</p>\n")
    title += f", {len(records[0].after.parameters)} parameters"
    chosen = _shown(records, findings, len(names))
    tbodies = bodies([records[i] for i in chosen], findings, names)
    cut = f" {hidden} more layers are not shown; name them with layers=[...]." if hidden else ""
    opened = "" if predict else " open"
    asks = " data-predict" if predict else ""
    answers = ", with the answers" if predict else ""
    html = (
        f'<div class="{CLASSES}" dir="ltr" lang="en"{asks}>\n'
        f"<style>{asset(ASSETS[0])}</style>\n"
        f"<details{opened}><summary>{shown(title)}: every line as a table{answers}</summary>\n"
        f"<p>What each line left behind. Bold: changed by that line.{cut}</p>\n"
        '<div class="rp-wide" tabindex="0" role="group" aria-label="Every line as a table">\n'
        f"<table>\n{HEAD}{''.join(tbodies)}</table>\n</div>\n</details>\n"
        f"<script>{asset(ASSETS[1])}</script>\n</div>\n"
    )
    return Player(title, html, _below(findings, opened))


def _below(findings: Sequence[Finding], opened: str) -> str:
    if not findings:
        return ""
    many = f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"
    return f"<details{opened}>\n<summary>{many}</summary>\n{_said(findings)}</details>\n"


def _said(findings: Sequence[Finding]) -> str:
    return "".join(
        f"<p>Line {one.line}: <code>{shown(one.source.partition(chr(10))[0])}</code></p>\n"
        f"<blockquote>{as_html(one)}</blockquote>\n"
        for one in findings
    )


def across(block: Sequence[str], findings: Sequence[Finding]) -> str:
    """What differs between processes, as HTML below a player.

    Args:
        block: Its lines; the first is its title.
        findings: What was found between them.

    Example:
        >>> print(across(["between the ranks:", "    loss: 2.3 on all"], []), end="")
        <details open>
        <summary>between the ranks</summary>
        <pre>loss: 2.3 on all</pre>
        </details>
    """
    if not block:
        return _said(findings)
    title, lines = block[0].rstrip(":"), textwrap.dedent("\n".join(block[1:]))
    told = "\n".join(map(shown, lines.splitlines()))
    return (
        f"<details open>\n<summary>{shown(title)}</summary>\n"
        f"<pre>{told}</pre>\n{_said(findings)}</details>\n"
    )


CLASSES = "routine-player rp mathjax_ignore tex2jax_ignore"  # dollars in code make no formula
HEAD = (
    '<colgroup><col></colgroup><colgroup span="2"></colgroup><colgroup span="2"></colgroup>\n'
    '<thead>\n<tr><th rowspan="2" scope="col">layer</th><th colspan="2" scope="colgroup">gradient'
    '</th><th colspan="2" scope="colgroup">parameters</th></tr>\n'
    '<tr><th scope="col">sum</th><th scope="col">norm</th>'
    '<th scope="col">sum</th><th scope="col">norm</th></tr>\n</thead>\n'
)


def _shown(records: Sequence[LineRecord], findings: Sequence[Finding], layers: int) -> list[int]:
    """Which records: all, or the first, the last and those around each finding."""
    room = min(LINES, max(15, ROWS // max(layers, 1)))
    if len(records) <= room:
        return list(range(len(records)))
    ends = room // 3
    wanted = {*range(ends), *range(len(records) - ends, len(records))}
    wanted.update(finding.index for finding in findings)
    for finding in findings[: ends // (2 * AROUND + 1) + 1]:
        wanted.update(range(finding.index - AROUND, finding.index + AROUND + 1))
    return sorted(i for i in wanted if 0 <= i < len(records))
