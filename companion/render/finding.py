"""A finding in words: as text, which `str(finding)` gives, and as HTML for the player."""

from __future__ import annotations

import textwrap
from html import escape

from companion.records.finding import Finding
from companion.records.visible import visible

WIDTH = 80  # columns of a printed finding; the book's page has little more


def as_text(finding: Finding) -> str:
    """Which mistake, on which line, what was seen, why it matters, the cure, the chapter."""
    source = finding.source.splitlines()[0] if finding.source else "(source not known)"
    out = [
        f"{_rule(finding)}, line {finding.line}{_often(finding)}: {visible(source)}",
        _wrapped(finding.observed),
        _wrapped(finding.why),
        *([f"    cure: {_cure(finding)}"] if finding.cure else []),
        *([] if finding.settle is None else [_wrapped(f"to settle it: {finding.settle}")]),
        f"    explained in: {finding.chapter}",
    ]
    return "\n".join(out)


def as_html(finding: Finding) -> str:
    """The same, word for word; the line stands above it."""
    words = [finding.observed, finding.why]
    if finding.settle is not None:
        words.append(f"To settle it: {finding.settle}")
    said = "".join(f"<p>{shown(one)}</p>" for one in words)
    return (
        f"<p><strong>{escape(_rule(finding))}</strong>{_often(finding)}</p>{said}"
        f"{f'<p>Cure:</p><pre>{shown(finding.cure)}</pre>' if finding.cure else ''}"
        f"<p>Explained in: {escape(finding.chapter)}</p>"
    )


def shown(words: str) -> str:
    """Words from outside, as HTML that shows them. Of line breaks it makes spaces."""
    return escape("\n".join(map(visible, words.split("\n"))))


def _cure(finding: Finding) -> str:
    return "\n          ".join(map(visible, finding.cure.split("\n")))


def _rule(finding: Finding) -> str:
    return finding.rule if finding.certain else f"possible: {finding.rule}"


def _often(finding: Finding) -> str:
    return f", {finding.times} times" if finding.times > 1 else ""


def _wrapped(words: str) -> str:
    lines = textwrap.wrap(words, WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(map(visible, lines))


# A record does not format itself: what it prints is handed in here.
Finding.__str__ = as_text  # type: ignore[assignment,method-assign]
