"""What the others have told by now, read where the processes meet."""

from __future__ import annotations

from collections.abc import Mapping

from companion.command.ranks.meeting import Meeting
from companion.command.ranks.told import Told
from companion.diagnosis.ranks.summary import Summary


def heard_early(meeting: Meeting) -> dict[int, Told]:
    """What each saw in its watched steps."""
    found = {rank: _early(meeting, rank) for rank in meeting.place.here}
    return {rank: told for rank, told in found.items() if told is not None}


def take_over(meeting: Meeting) -> dict[int, Told]:
    """What each has left at its end, or else what it saw in its watched steps."""
    found = {rank: Told.of_dict(one) for rank, one in meeting.take_all().items()}
    early = heard_early(meeting)
    ordered = {rank: found.get(rank) or early.get(rank) for rank in meeting.place.here}
    return {rank: told for rank, told in ordered.items() if told is not None}


def ended_before(meeting: Meeting) -> dict[int, Told]:
    """What those have left that have come to their end; it stays there for the one that speaks."""
    left = {rank: meeting.read(rank, "over") for rank in meeting.place.here}
    found = {rank: Told.of_dict(one) for rank, one in left.items() if one is not None}
    return {rank: told for rank, told in found.items() if told is not None}


def trained(heard: Mapping[int, Told], rank: int) -> list[Summary]:
    """What those have seen that watched a network; first this one, whose lines can be shown."""
    seen = [told.summary for told in heard.values() if told.summary.names]
    return sorted(seen, key=lambda one: one.rank != rank)


def _early(meeting: Meeting, rank: int) -> Told | None:
    left = meeting.read(rank, "seen")
    return None if left is None else Told.of_dict(left)
