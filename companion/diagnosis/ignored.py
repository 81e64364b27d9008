"""Findings that the loop's author accepts, by a comment on their line.

`# companion: ignore[accumulates]` silences one rule there, `ignore[accumulates, graph-kept]`
several, and `# companion: ignore` all. A statement of several lines may have it on any of them.
Records hold their statements as written, so a loaded trace is read like a running one.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator

from companion.diagnosis.alike import NAMES, alike
from companion.records.finding import Finding

_COMMENT = re.compile(r"#\s*companion:\s*ignore\b\s*(.*)")
_LISTED = re.compile(r"\[([^\[\]]*)\]")
_END = re.compile(r"$|[#;,.:(–—-]")  # what may follow where no rule is named: a reason
EVERY = "*"


def ignored(source: str) -> set[str]:
    """Names of the rules that a statement's comments silence; `EVERY` stands for all.

    Example:
        >>> sorted(ignored("loss.backward()  # companion: ignore[accumulates, polluted]"))
        ['accumulates', 'polluted']
        >>> ignored("total += loss  # companion: ignore")
        {'*'}
        >>> ignored("print('# companion: ignore')")
        set()
    """
    return {name for words in _comments(source) for name in _named(words) or ()}


def parted(findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Those that no comment silences, and those that one does."""
    kept: list[Finding] = []
    silenced: list[Finding] = []
    for finding in findings:
        names = ignored(finding.source)
        (kept if names.isdisjoint((finding.rule, EVERY)) else silenced).append(finding)
    return kept, silenced


def mistaken(source: str) -> Iterator[str]:
    """What is wrong with a statement's comments: a sentence for each that silences nothing."""
    for words in _comments(source):
        names = _named(words)
        if names is None:
            yield "rules stand in brackets: # companion: ignore[rule]"
        else:
            yield from (alike(name) for name in names if name not in NAMES and name != EVERY)


def _comments(source: str) -> Iterator[str]:
    """What stands behind `# companion: ignore`, in each comment that says so."""
    if "companion:" not in source:
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield from _COMMENT.findall(token.string)
    except (tokenize.TokenError, SyntaxError):  # the header of a block has no body here
        return


def _named(words: str) -> list[str] | None:
    """The rules that are named, `EVERY` where none is; None where it cannot be told."""
    listed = _LISTED.match(words)
    if listed is not None:
        return [name.strip() for name in listed[1].split(",") if name.strip()]
    return [EVERY] if _END.match(words) else None
