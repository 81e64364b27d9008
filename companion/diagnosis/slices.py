"""The lines that made a variable, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from companion.diagnosis.words import statement
from companion.records.flow import reads
from companion.records.line import LineRecord
from companion.records.syntax import bound

MOST = 4  # lines that are shown


def made_by(
    records: Sequence[LineRecord],
    names: Iterable[str],
    function: str,
    moved: set[str] | None = None,
) -> list[str] | None:
    """The lines that computed variables and what these were computed from, in their order.

    Args:
        records: What ran, up to where the variables are read.
        names: The variables.
        function: The function that they belong to.
        moved: Only what leads to one of these parameters has to be computed anew.

    Returns:
        None where a line cannot be shown, or there are too many.
    """
    needed, found = set(names), dict[tuple[str, int], str]()
    for one in reversed(records):
        if one.function != function or not needed:
            continue
        made = {v.name for v in one.values if v.graph and _leads(v.unreached, one, moved)}
        if any(event.kind == "forward" and event.details["grad"] for event in one.events):
            known = {value.name for value in one.values}
            made |= {name for name, _ in bound(one.source) if name not in known}
        if made & needed:
            source = statement(one)
            if source is None or source.endswith(":") or len(found) == MOST:
                return None
            found.setdefault(one.place, source)
            needed |= set(reads(one.source))
        needed -= {name for name, _ in bound(one.source)}
    return [*found.values()][::-1]


def _leads(unreached: tuple[str, ...] | None, one: LineRecord, moved: set[str] | None) -> bool:
    if moved is None or unreached is None:
        return True
    wanted = {name for name, is_wanted in one.after.requires_grad.items() if is_wanted}
    return not moved.isdisjoint(wanted - set(unreached))
