"""What is said first of a training: how much of it was watched, and where that is too little."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from companion.records.finding import Finding
from companion.records.line import LineRecord
from companion.records.times import times


def no_step(records: Sequence[LineRecord], findings: int, *, stepped: bool) -> str:
    """What was seen where no step was: a training that was not seen is not called sound.

    Args:
        records: What was watched.
        findings: How many there are.
        stepped: Whether any optimizer has made a step.
    """
    kinds = [event.kind for record in records for event in record.events]
    backward = kinds.count("backward")
    what = "nothing called backward()"
    never = ", nor an optimizer's step()"
    if backward:
        what = f"backward() was called {times(backward)}"
        never = ", and an optimizer's step() never"
    if "scaler step" in kinds:
        skipped = times(kinds.count("scaler step"))
        what += f", a GradScaler was to step {skipped}, and no optimizer's step() came of it"
    elif stepped:
        what += ", and the steps that were made are on none of these lines"
    else:
        what += never
    return f"no step was seen: {what}" + (f"; {count(findings, 'finding')}" if findings else "")


def few(watched: int, given: argparse.Namespace, made: int | None) -> list[str]:
    """That of one step in so many too few came for those that were to be watched, and the cure.

    Example:
        >>> from argparse import Namespace
        >>> few(1, Namespace(steps=3, every=100), 16)
        ['3 steps were to be watched, and fewer may hide what is wrong: --every 7 watches 3 of 16']
        >>> few(3, Namespace(steps=3, every=7), 16)
        []
    """
    wanted = given.steps
    if made is None or given.every == 1 or not 0 < watched < min(wanted, made):
        return []
    every = max(1, (made - 1) // (wanted - 1))
    shown = min(wanted, 1 + (made - 1) // every)
    return [
        f"{wanted} steps were to be watched, and fewer may hide what is wrong: --every {every} "
        f"watches {shown} of {made}"
    ]


def count(number: int, what: str) -> str:
    """Such as "no findings", "1 finding", "2 findings"."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def not_watched(words: str) -> str:
    """A sentence of what was not looked at."""
    return f"not watched: {words}"


def awaiting(finding: Finding) -> Finding:
    """What a script may yet refute is only possible, unless it has run to its end."""
    if finding.rule != "no-backward":
        return finding
    return replace(finding, certain=False, settle="whether a backward comes after these steps")
