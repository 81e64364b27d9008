"""Findings as GitHub shows them beside the lines of a change: commands that its runner reads.

`::error file=train.py,line=14,title=accumulates::...` on a line of its own. The runner looks for
them in what a step writes to stderr as well as to stdout, which is the script's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from companion.records.cells import cell_of
from companion.records.finding import Finding
from companion.records.version import on_the_web
from companion.records.visible import visible


def commands(findings: Iterable[Finding], here: str) -> list[str]:
    """A line for each finding: an error if it is certain, else a warning.

    Args:
        findings: The findings.
        here: The folder where the command was given.
    """
    return [_annotation(finding, here) for finding in findings]


def _annotation(finding: Finding, here: str) -> str:
    file, line = located(finding, here)
    place = {"file": file, "line": str(line), "title": f"companion: {finding.rule}"}
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in place.items())
    kind = "error" if finding.certain else "warning"
    return f"::{kind} {properties}::{_escaped(message(finding))}"


def message(finding: Finding) -> str:
    """What was seen, why it matters, and the cure."""
    cell = cell_of(finding.file)
    words = [f"{finding.place}: {finding.observed}" if cell else finding.observed, finding.why]
    words += [f"Cure: {finding.cure}"] if finding.cure else []
    words += [f"To settle it: {finding.settle}"] if finding.settle else []
    page = on_the_web(finding.chapter)
    words.append(f"Explained by: companion explain {finding.rule}{f', and {page}' if page else ''}")
    return "\n".join(visible(line) for one in words for line in one.splitlines())


def located(finding: Finding, here: str) -> tuple[str, int]:
    """File and line as a repository knows them: from its root, or from here.

    Of a notebook the cells have no lines there: it is the first, and the message says the cell.
    """
    cell = cell_of(finding.file)
    path, line = (finding.file, finding.line) if cell is None else (cell[0], 1)
    for root in filter(None, (os.environ.get("GITHUB_WORKSPACE"), here)):
        if os.path.isabs(path) and path.startswith(os.path.join(root, "")):
            path = os.path.relpath(path, root)
            break
    return path.replace(os.sep, "/"), line


def _escaped(text: str, more: str = "") -> str:
    """As the runner reads it: what would end a line or a property is written by its number."""
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
