"""A trace as a fragment of HTML that plays: step through the lines, see what each one changed.

The fragment is one table that is complete by itself: what every layer held on entering, then each
line with the layers it changed. Where scripts run, `player.js` reads that table and builds the
player above it; where they are stripped (GitHub, a notebook that is not trusted) the table is
there. It asks nothing of any network, kernel or library, takes its colours from the page around
it, and the same trace is always the same text.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from companion._visible import visible
from companion.findings import Finding
from companion.probes import Reading, by_layer, layer_of
from companion.records import LineRecord, State
from companion.render.layers import chosen_layers, number
from companion.render.listing import code, margins
from companion.render.notes import also, notes
from companion.render.policy import digest, meta

LAYERS = 32  # shown unless the user names others
ROWS = 600  # of layers, in one player: what bounds the lines of a long trace
LINES = 60  # shown of a long trace, if its layers leave room
AROUND = 2  # lines shown before and after one that a finding objects to

STYLE = """
html { background: Canvas; color: CanvasText; font-family: system-ui, sans-serif }
body { margin: 1rem auto; max-width: 70rem; padding: 0 1rem }
h1 { overflow-wrap: anywhere }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{policy}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{fragment}</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Player:
    """A trace that can be played line by line; a notebook shows it when it ends a cell.

    Attributes:
        title: "Trace of Net, 10 parameters".
        html: The fragment.
    """

    title: str
    html: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a page of its own, which any browser opens, offline too.

        Its Content-Security-Policy lets a browser run the player's own script and nothing else,
        and asks no one for anything.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            OSError: If the file cannot be written.
        """
        Path(path).write_text(page(self.title, self.html), encoding="utf-8")

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Player: {visible(self.title)}>"


def page(title: str, fragment: str) -> str:
    """A whole page around a player, or several."""
    policy = meta(
        {
            "script-src": [digest(asset("player.js"))],
            "style-src": ["'unsafe-inline'"],  # of elements only these two, where that is known
            "style-src-elem": [digest(STYLE), digest(asset("player.css"))],
            "form-action": ["'none'"],
            "base-uri": ["'none'"],
        }
    )
    return PAGE.format(policy=policy, style=STYLE, title=_text(title), fragment=fragment)


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
        return Player(title, f"<p>{_text(title)}: no line ran</p>\n")
    title += f", {len(records[0].after.parameters)} parameters"
    shown = _shown(records, findings, len(names))
    bodies = _bodies([records[i] for i in shown], findings, names)
    cut = f" {hidden} more layers are not shown; name them with layers=[...]." if hidden else ""
    opened = "" if predict else " open"
    asks = " data-predict" if predict else ""
    answers = ", with the answers" if predict else ""
    html = (
        f'<div class="{CLASSES}" dir="ltr" lang="en"{asks}>\n'
        f"<style>{asset('player.css')}</style>\n"
        f"<details{opened}><summary>{_text(title)}: every line as a table{answers}</summary>\n"
        f"<p>What each line left behind. Bold: changed by that line.{cut}</p>\n"
        '<div class="rp-wide" tabindex="0" role="group" aria-label="Every line as a table">\n'
        f"<table>\n{HEAD}{''.join(bodies)}</table>\n</div>\n</details>\n"
        f"<script>{asset('player.js')}</script>\n</div>\n"
    )
    return Player(title, html)


CLASSES = "routine-player rp mathjax_ignore tex2jax_ignore"  # dollars in code make no formula
HEAD = (
    '<colgroup><col></colgroup><colgroup span="2"></colgroup><colgroup span="2"></colgroup>\n'
    '<thead>\n<tr><th rowspan="2" scope="col">layer</th><th colspan="2" scope="colgroup">gradient'
    '</th><th colspan="2" scope="colgroup">parameters</th></tr>\n'
    '<tr><th scope="col">sum</th><th scope="col">norm</th>'
    '<th scope="col">sum</th><th scope="col">norm</th></tr>\n</thead>\n'
)


@functools.cache
def asset(name: str) -> str:
    """A file of this folder on one line, without comments: a notebook stores it for each player.

    Every statement of the script ends with its own semicolon, and no string holds two slashes.
    """
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    lines = [re.sub(r"(^|\s)(// |/\* ).*", "", line).strip() for line in text.splitlines()]
    whole = " ".join(line for line in lines if line)
    if name.endswith(".css"):
        whole = re.sub(r"\s*([{};])\s*", r"\1", whole)
        whole = re.sub(r"([:,]) ", r"\1", whole)
    return whole


def _shown(records: Sequence[LineRecord], findings: Sequence[Finding], layers: int) -> list[int]:
    """Which records: all, or the first, the last and those around each finding."""
    room = min(LINES, max(15, ROWS // max(layers, 1)))
    if len(records) <= room:
        return list(range(len(records)))
    ends = room // 3
    wanted = {*range(ends), *range(len(records) - ends, len(records))}
    for finding in findings[: ends // (2 * AROUND + 1) + 1]:
        wanted.update(range(finding.index - AROUND, finding.index + AROUND + 1))
    return sorted(i for i in wanted if 0 <= i < len(records))


def _bodies(
    records: Sequence[LineRecord], findings: Sequence[Finding], names: Sequence[str]
) -> Iterator[str]:
    """One tbody for what was there on entering, one for each line, one for each gap."""
    by_index: dict[int, list[Finding]] = {}
    for finding in findings:
        by_index.setdefault(finding.index, []).append(finding)
    indents = margins(records)
    places = [(r.file, r.function) for r in records]
    functions = list(dict.fromkeys(places))
    yield _body("", [_wide("before the first line", "rp-line"), *_rows(records[0].before, names)])
    previous = records[0].index - 1
    for record, place in zip(records, places, strict=True):
        gap = record.index - previous - 1
        if gap:
            yield _body(' data-gap=""', [_wide(f"{gap} lines not shown", "rp-line")])
        previous = record.index
        lines = code(record, record.indent - indents[place])
        changes = bool(record.changed_gradients) + 2 * bool(record.changed_parameters)
        attributes = (
            f' data-place="{functions.index(place)}:{record.line}" data-step="{record.step}"'
            f' data-changes="{changes}"'
        )
        if len(functions) > 1:
            name = record.function or "top level"
            if not record.file.startswith("Cell In["):
                name += f", {os.path.basename(record.file)}"
            attributes += f' data-function="{_text(name)}"'
        rows = [_head(record.line, "\n".join(lines)), _wide(_text(_said(record)), "rp-note")]
        rows += [_finding(one) for one in by_index.get(record.index, [])]
        rows += _rows(record.after, names, record, everything=bool(gap))
        yield _body(attributes, rows)


def _body(attributes: str, rows: Sequence[str]) -> str:
    return f"<tbody{attributes}>\n{''.join(rows)}</tbody>\n"


def _wide(content: str, kind: str) -> str:
    return f'<tr class="{kind}"><td colspan="5">{content}</td></tr>\n'


def _head(line: int, source: str) -> str:
    return (
        f'<tr class="rp-line"><th scope="row">{line}</th>'
        f'<td colspan="4"><code style="white-space: pre">{escape(source)}</code></td></tr>\n'
    )


def _said(record: LineRecord) -> str:
    """The note under a line, in words that hold without the table."""
    gradients, parameters = notes(record)
    said = [f"gradients: {gradients}"] if gradients else []
    said += [f"parameters: {parameters}"] if parameters else []
    said += also(record.before, record.after)
    said = said or ["changes nothing"]
    return "; ".join([*said, f"raised {record.raised}"] if record.raised else said)


def _finding(finding: Finding) -> str:
    """What the diagnosis says, word for word."""
    words = [finding.observed, finding.why]
    if finding.settle is not None:
        words.append(f"To settle it: {finding.settle}")
    rule = escape(finding.rule if finding.certain else f"possible: {finding.rule}")
    often = f", {finding.times} times" if finding.times > 1 else ""
    return _wide(
        f"<p><strong>{rule}</strong>{often}</p>{''.join(f'<p>{_text(w)}</p>' for w in words)}"
        f"<p>Cure:</p><pre>{escape(finding.cure)}</pre>"
        f"<p>Explained in: {escape(finding.chapter)}</p>",
        "rp-finding",
    )


def _rows(
    state: State,
    names: Sequence[str],
    record: LineRecord | None = None,
    *,
    everything: bool = True,
) -> list[str]:
    """One row for each layer that the line changed, or for every layer."""
    moved = [
        {layer_of(name) for name in changed}
        for changed in (
            (record.changed_gradients, record.changed_parameters) if record else ((), ())
        )
    ]
    columns = [by_layer(state.gradients), by_layer(state.parameters)]
    return [
        _row(i, name, columns, [name in changed for changed in moved])
        for i, name in enumerate(names)
        if everything or any(name in changed for changed in moved)
    ]


def _row(
    i: int, name: str, columns: Sequence[Mapping[str, Reading | None]], changed: Sequence[bool]
) -> str:
    cells = []
    for readings, bold in zip(columns, changed, strict=True):
        reading = readings.get(name)
        if name not in readings:
            texts = ["", ""]  # no such layer at this moment
        else:
            texts = [_value(number(reading, "sum")), _value(number(reading, "norm"))]
        cells += [f"<td><b>{text}</b></td>" if bold else f"<td>{text}</td>" for text in texts]
    head = f'<th scope="row">{_text(name) or "(net)"}</th>'
    return f'<tr data-i="{i}">{" ".join([head, *cells])}</tr>\n'


def _value(number: str) -> str:
    return "<i>None</i>" if number == "None" else number


def _text(words: str) -> str:
    """Words from outside, as HTML that shows them. Of line breaks it makes spaces."""
    return escape("\n".join(map(visible, words.split("\n"))))
