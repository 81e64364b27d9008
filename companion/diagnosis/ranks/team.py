"""Processes that train one network together: those that average their gradients, however."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from companion.diagnosis.ranks.apart import are_apart
from companion.diagnosis.ranks.summary import Numbers, Summary


class Team(NamedTuple):
    """Some processes, and how they share their work.

    Attributes:
        members: What each of them did.
        how: "ddp", "shards", "by hand", or "" where nothing of theirs is averaged.
    """

    members: Sequence[Summary]
    how: str

    @property
    def first(self) -> Summary:
        """The one whose lines are shown."""
        return self.members[0]

    def steps(self) -> Iterator[list[Numbers | None]]:
        """For each step that all have made, the gradients that each of them used."""
        for several in zip(*(one.used for one in self.members), strict=False):
            yield [at.before if at.before is not None else at.after for at in several]

    def backwards(self) -> Iterator[list[Numbers | None]]:
        """For each backward that all have made, the gradients that it left with each."""
        for several in zip(*(one.backwards for one in self.members), strict=False):
            yield [at.after for at in several]


def teams(summaries: Sequence[Summary]) -> list[Team]:
    """Those that train one network together; the others stand alone, and are in no team.

    Ranks that share their work otherwise (a pipeline, layers in parts, two networks) have other
    networks, or meshes of more than one dimension, and are in none.
    """
    found: dict[tuple[object, ...], list[Summary]] = {}
    for one in summaries:
        if one.names and (one.together is not None or not (one.averaged or one.sharded)):
            found.setdefault((one.names, one.together, one.averaged, one.sharded), []).append(one)
    return [Team(several, _how(several)) for several in found.values() if len(several) > 1]


def _how(several: Sequence[Summary]) -> str:
    first = several[0]
    if first.sharded:
        return "shards" if not first.averaged else ""
    if first.averaged:
        return "ddp"
    team = Team(several, "")
    after, used = list(team.backwards()), list(team.steps())
    if not used or any(are_apart(one) or None in one for one in used):
        return ""
    return "by hand" if after and all(map(are_apart, after)) else ""
