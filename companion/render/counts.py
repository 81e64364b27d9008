"""How often what ran, in words that say what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from companion.records.line import LineRecord
from companion.records.statements import is_handed, owner
from companion.records.visible import visible


def count_steps(records: Sequence[LineRecord]) -> int:
    """How many of the steps that the records belong to moved parameters, or tried to."""
    return len(
        {r.step for r in records if r.changed_parameters or any(e.kind == "step" for e in r.events)}
    )


def steps_in_words(records: Sequence[LineRecord]) -> str:
    """Such as "3 steps"; with how often they called a closure, where that is more often.

    Example:
        >>> steps_in_words([])
        'no steps'
    """
    steps = count_steps(records)
    words = f"{steps or 'no'} step{'' if steps == 1 else 's'}"
    called = [
        f"{visible(name)}() {number} times"
        for name, number in _closures(records).items()
        if number > max(1, steps)
    ]
    if not called:
        return words
    whose = "it" if steps == 1 else "they" if steps else "the first"
    return f"{words} ({whose} called {', '.join(called)})"


def began_in_words(records: Sequence[LineRecord]) -> str:
    """Such as "the first from line 13 on", where a line before it was missed in the first step.

    Watching begins where torch is first called: lines above in the same function, and those that
    called it, have begun then, and are counted once less.

    Example:
        >>> began_in_words([])
        ''
    """
    if not records or records[0].phase is not None:
        return ""
    first = records[0]
    runs = Counter(
        (r.depth, r.file, r.function, r.line) for r in records if r.phase is None and not r.again
    )
    mine = first.depth, first.file, first.function, first.line
    before = [
        number
        for key, number in runs.items()
        if key[0] < first.depth or (key[:3] == mine[:3] and key[3] < first.line)
    ]
    is_missed = any(number == runs[mine] - 1 for number in before)
    return f"the first from line {first.line} on" if is_missed else ""


def _closures(records: Sequence[LineRecord]) -> Counter[str]:
    """How often an optimizer's step has called each function that it was given."""
    counted: Counter[str] = Counter()
    handed: set[str] = set()
    callers: dict[int, LineRecord] = {}
    before: LineRecord | None = None
    for record in records:
        name = record.function.rpartition(".")[2]
        caller = callers.get(record.depth - 1)
        begins = record.depth and (
            before is None  # watched from within its first call on
            or before.depth < record.depth
            or (before.depth == record.depth and before.source.startswith("return"))
        )
        if begins and name:
            counted[name] += 1
            if caller is not None and is_handed(caller.source, name):
                handed.update([name] if owner(caller.source, "step") is not None else [])
        callers[record.depth] = before = record
    return Counter({name: counted[name] for name in counted if name in handed})
