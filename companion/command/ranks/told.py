"""What one process tells the one that reports: its summary, its findings, its sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from companion.diagnosis.ranks.summary import Summary
from companion.records.finding import Finding

MOST = 20  # findings, and sentences of each kind


@dataclass
class Told:
    """What a process tells; see `Summary` for the numbers.

    Attributes:
        summary: What it saw in the watched steps.
        findings: What is wrong with its own.
        sentences: What it would have said where no line was watched.
        unwatched: What was not looked at.
        guard: What was seen after the watched steps.
        steps: How many steps all optimizers made in the end.
        error: The exception that ended it, in words.
        line: The user's line that raised it, in words; "" where there is none.
        ended: When its script was over, in seconds since 1970; 0 where it is not.
    """

    summary: Summary
    findings: list[Finding] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    unwatched: list[str] = field(default_factory=list)
    guard: list[str] = field(default_factory=list)
    steps: int = 0
    error: str | None = None
    line: str = ""
    ended: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        short = {name: getattr(self, name)[:MOST] for name in ("sentences", "unwatched", "guard")}
        return {
            "summary": self.summary.to_dict(),
            "findings": [asdict(one) for one in self.findings[:MOST]],
            **short,
            "steps": self.steps,
            "error": self.error,
            "line": self.line,
            "ended": self.ended,
        }

    @staticmethod
    def of_dict(given: Mapping[str, Any]) -> Told | None:
        """What `to_dict` made; None for what another release's did."""
        try:
            findings = [Finding(**one) for one in given["findings"]]
            rest = {name: given[name] for name in _REST}
            return Told(Summary.of_dict(given["summary"]), findings, **rest)
        except (KeyError, TypeError, ValueError):
            return None


_REST = ("sentences", "unwatched", "guard", "steps", "error", "line", "ended")


def by_ranks(said: Mapping[int, Iterable[str]]) -> dict[str, list[int]]:
    """Each sentence once, and the ranks that say it.

    Example:
        >>> by_ranks({0: ["a", "b"], 1: ["a"]})
        {'a': [0, 1], 'b': [0]}
    """
    found: dict[str, list[int]] = {}
    for rank, sentences in said.items():
        for sentence in dict.fromkeys(sentences):
            found.setdefault(sentence, []).append(rank)
    return found


def whose(ranks: list[int], number: int) -> str:
    """Whose a sentence is, as its beginning; nothing where it is everybody's.

    Example:
        >>> whose([0, 1], 2), whose([1], 2), whose([0, 2, 3, 5, 7, 8], 9)
        ('', 'rank 1: ', 'ranks 0, 2, 3, 5 and 2 more: ')
    """
    return f"{named(ranks)}: " if len(ranks) < number else ""


def named(ranks: Sequence[int]) -> str:
    """Some ranks, the first few by their numbers.

    Example:
        >>> named([1]), named([1, 0])
        ('rank 1', 'ranks 0, 1')
    """
    ranks = sorted(ranks)
    more = f" and {len(ranks) - 4} more" if len(ranks) > 4 else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks[:4]))}{more}"
