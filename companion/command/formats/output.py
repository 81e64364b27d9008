"""Where the report for programs goes: into its file, or last on stderr."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from companion.command.chosen import Chosen
from companion.command.formats.github import commands
from companion.command.formats.sarif import sarif
from companion.isolation.wall import is_ours


def write(
    given: argparse.Namespace, report: dict[str, Any], chosen: Chosen, said: str
) -> list[str]:
    """Write the files that were asked for: `report` as JSON, `said` is the same as text.

    Returns:
        What went wrong: a sentence for each file.
    """

    def as_json() -> str:
        return json.dumps(report, indent=1) + "\n"

    texts: dict[str, Callable[[], str]] = {
        "text": lambda: said,
        "json": as_json,
        "sarif": lambda: json.dumps(sarif(chosen, report["exit"], given.here), indent=1) + "\n",
        "github": lambda: "".join(f"{line}\n" for line in commands(chosen.findings, given.here)),
    }
    problems = _written(given.json, "JSON", as_json)
    return problems + _written(given.output, given.format, texts[given.format])


def _written(path: Path | None, what: str, text: Callable[[], str]) -> list[str]:
    if path is None:
        return []
    try:
        path.write_text(text(), encoding="utf-8")
    except OSError as error:
        if not is_ours(error):
            raise
        return [f"no {what} was written: {error}"]
    return []
