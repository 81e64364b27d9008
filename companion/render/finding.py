"""A finding in words: as text, which `str(finding)` gives, and as HTML for the player."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html import escape

from companion.records.finding import Finding
from companion.records.version import on_the_web
from companion.records.visible import visible
from companion.render.columns import wrapped
from companion.render.paint import Paint, plain
from companion.render.terminal import columns_of

WIDTH = 80  # columns of a printed finding; the book's page has little more
LEAST = 20  # columns of a cure's code, on any terminal


def as_text(
    finding: Finding, width: int | None = None, paint: Paint = plain, *, guided: bool = True
) -> str:
    """Which mistake, on which line, what was seen, why it matters, the cure, who explains it.

    Code is broken only where there is a `width` that has no room for it. Who explains it is left
    out where it is not `guided`.
    """
    source = finding.source.splitlines()[0] if finding.source else "(source not known)"
    rule = _rule(finding)
    head = f"{rule}, {finding.place}{_often(finding)}: {visible(source)}"
    first, *further = wrapped(head, width, deeper=4)
    kind = "certain" if finding.certain else "possible"
    out = [paint(kind, first[: len(rule)]) + first[len(rule) :], *further]
    out += [*_prose(finding.observed, width), *_prose(finding.why, width)]
    if finding.cure:
        out += _cure(finding.cure, width, paint)
    if finding.settle is not None:
        out += _prose(f"to settle it: {finding.settle}", width)
    return "\n".join([*out, *(_guide(finding, width) if guided else ())])


def _guide(finding: Finding, width: int | None) -> Iterator[str]:
    """A command, and a page where the course is on the web."""
    yield from wrapped(f"    explained by: companion explain {finding.rule}", width)
    page = on_the_web(finding.chapter)
    if page:
        yield from wrapped(f"    in the course: {page}", width)


def _prose(words: str, width: int | None) -> list[str]:
    one = visible(words.replace("\n", " "))
    return wrapped(f"    {one}", min(WIDTH, width or WIDTH))


def _cure(cure: str, width: int | None, paint: Paint) -> Iterator[str]:
    """Its lines of code, below each other."""
    before = "    cure: "
    room = None if width is None else max(width - len(before), LEAST)
    for words in map(visible, cure.split("\n")):
        for line in wrapped(words, room, deeper=4):
            yield before + paint("cure", line)
            before = " " * len(before)


def as_html(finding: Finding) -> str:
    """The same, word for word; the line stands above it."""
    words = [finding.observed, finding.why]
    if finding.settle is not None:
        words.append(f"To settle it: {finding.settle}")
    said = "".join(f"<p>{shown(one)}</p>" for one in words)
    return (
        f"<p><strong>{escape(_rule(finding))}</strong>{_often(finding)}</p>{said}"
        f"{f'<p>Cure:</p><pre>{shown(finding.cure)}</pre>' if finding.cure else ''}"
        f"<p>Explained by: <code>companion explain {escape(finding.rule)}</code></p>"
    )


def ignored_in_words(findings: Sequence[Finding]) -> str:
    """How many findings were accepted by a comment, and where."""
    number = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    return f"{number}, by a comment: {'; '.join(map(named, findings))}"


def named(finding: Finding) -> str:
    """Its rule and its line, and nothing else."""
    return f"{finding.rule}, {finding.place}"


def shown(words: str) -> str:
    """Words from outside, as HTML that shows them. Of line breaks it makes spaces."""
    return escape("\n".join(map(visible, words.split("\n"))))


def _rule(finding: Finding) -> str:
    return finding.rule if finding.certain else f"possible: {finding.rule}"


def _often(finding: Finding) -> str:
    return f", {finding.times} times" if finding.times > 1 else ""


def _printed(finding: Finding) -> str:
    return as_text(finding, columns_of(getattr(sys, "stdout", None)))


# A record does not format itself: what it prints is handed in here.
Finding.__str__ = _printed  # type: ignore[assignment,method-assign]
