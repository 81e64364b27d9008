"""Comments `# companion: ignore[rule]` that ignore nothing, a sentence for each.

Of a known rule that is said where a comment's line was watched and the script has run to its end,
so that all rules have spoken; and only where it is sure: all steps were watched, or the rule finds
something on another line, or it is one that speaks in a loop's first steps if it ever does.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence

from companion.diagnosis.alike import NAMES
from companion.diagnosis.ignored import EVERY, ignored, mistaken
from companion.diagnosis.ranks.rules import RANK_RULES
from companion.diagnosis.rules.superseded import PRECISE
from companion.records.cells import cell_of
from companion.records.finding import Finding
from companion.records.line import LineRecord
from companion.records.visible import visible

# What is wrong with these is wrong in every step, whatever its numbers are.
EARLY = frozenset(
    {
        "accumulates", "accumulation-not-divided", "broadcast-loss", "clip-after-step",
        "clip-before-backward", "clip-before-unscale", "discarded", "graph-kept", "not-called",
        "polluted", "scheduler-first", "softmax-across", "softmax-twice", "step-before-backward",
        "step-without-unscale", "steps-twice",
    }
)  # fmt: skip
ENOUGH = 3  # steps in which a line has run, for such a rule to have spoken
_BETWEEN = frozenset(rule.name for rule in RANK_RULES)  # found where ranks are compared


def mistakes(records: Sequence[LineRecord]) -> list[str]:
    """What is wrong with the comments on the lines that ran; a sentence for each."""
    lines = {record.place: record for record in records if "companion:" in record.source}
    return [_nothing(one, words) for one in lines.values() for words in mistaken(one.source)]


def unused(
    records: Sequence[LineRecord], found: Sequence[Finding], *, whole: bool, every: int = 1
) -> list[str]:
    """The rules that comments name, and that have found nothing there; of a script that is over.

    Args:
        records: Its lines.
        found: All that was found, ignored or not.
        whole: Whether all its steps were watched.
        every: One step in so many was watched.
    """
    if any(one.rule in PRECISE for one in found):
        return []  # they speak for others, which are silent then
    runs: dict[tuple[str, int], list[LineRecord]] = {}
    for record in records:
        if "companion:" in record.source:
            runs.setdefault(record.place, []).append(record)
    early = EARLY if every == 1 else frozenset[str]()
    return [
        _nothing(group[0], f"{rule} found nothing there{elsewhere or shown}")
        for group in runs.values()
        for rule in _named(group[0], found)
        if (elsewhere := _elsewhere(rule, group[0], found)) or whole or _spoke(rule, group, early)
        for shown in ["" if whole else " in the watched steps"]
    ]


def _named(record: LineRecord, found: Sequence[Finding]) -> Iterator[str]:
    """The known rules that a line's comments name, and that are silent there."""
    spoken = {one.rule for one in found if (one.file, one.line) == record.place}
    for rule in sorted(ignored(record.source) - spoken - _BETWEEN - {EVERY}):
        if rule in NAMES:
            yield rule


def _elsewhere(rule: str, record: LineRecord, found: Sequence[Finding]) -> str:
    """On which other line the rule finds something."""
    for one in found:
        if one.rule == rule:
            other = one.file != record.file and cell_of(one.file) is None
            return f", but on {one.place}{f' of {os.path.basename(one.file)}' if other else ''}"
    return ""


def _spoke(rule: str, runs: Sequence[LineRecord], early: Collection[str]) -> bool:
    """Whether the rule would have spoken there by now."""
    return rule in early and len({record.step for record in runs}) >= ENOUGH


def _nothing(record: LineRecord, words: str) -> str:
    cell = cell_of(record.file)
    place = f"line {record.line}" if cell is None else f"{cell[1]}, line {record.line}"
    return f"the comment on {place} ignores nothing: {visible(words)}"
