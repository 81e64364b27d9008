"""The report as JSON: all that was seen, in a form with a version; `report.schema.json` tells it.

It is written when watching ends, so that it is there whatever becomes of the script, and again
when the script is over, with how that went.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from typing import Any

import torch

from companion.command.chosen import Chosen
from companion.command.scout.scout import Scout
from companion.records.finding import Finding
from companion.records.line import LineRecord
from companion.records.saving import plain
from companion.records.version import installed, on_the_web
from companion.render.counts import count_steps
from companion.render.written import written

FORMAT, VERSION = "training-routine report", 1


def document(
    given: argparse.Namespace,
    scout: Scout,
    records: Sequence[LineRecord],
    chosen: Chosen,
    exit_: dict[str, Any] | None,
    first: int,
) -> dict[str, Any]:
    """The whole report.

    Args:
        given: The options.
        scout: Who watched.
        records: The lines.
        chosen: What was found.
        exit_: How the script ended; None while it runs.
        first: How many of the lines the first steps have run, and the report as text shows.
    """
    steps, lines = _counted(records[:first])
    more_steps, more_lines = _counted(records[first:])
    return {
        "format": FORMAT,
        "version": VERSION,
        "versions": {
            "companion": installed(),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "script": given.script,
        "exit": exit_,
        "network": "" if scout.routine is None else scout.routine.network,
        "steps": steps,
        "lines": lines,
        "every": given.every,
        "made": scout.tally.made,
        "later": {"steps": more_steps, "lines": more_lines},
        "code": written(records),
        "records": list(map(plain, records)),
        "findings": list(map(told, chosen.findings)),
        "ignored": [{**told(finding), "by": by} for finding, by in chosen.ignored],
        "unwatched": scout.unwatched,
        "problem": scout.problem,
        "guard": None if scout.guard is None else scout.guard.to_dict(),
    }


def _counted(records: Sequence[LineRecord]) -> tuple[int, int]:
    """How many steps these are, and how many lines ran in them."""
    return count_steps(records), sum(not record.again for record in records)


def told(finding: Finding) -> dict[str, Any]:
    """A finding, with who explains it: a command, and a page where the course is on the web."""
    return {
        **finding.to_dict(),
        "place": finding.place,
        "explain": f"companion explain {finding.rule}",
        "url": on_the_web(finding.chapter),
    }
