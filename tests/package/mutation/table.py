"""Every mutant of every script, run by the command; what it said of each."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.package import loops
from tests.package.mutation.changes import CHANGES
from tests.package.mutation.faults import FAULTS
from tests.package.running import forks

SCRIPTS = [
    path
    for path in sorted(Path(loops.__file__).parent.glob("real_*.py"))
    if "distributed" not in path.stem
]


class Mutant(NamedTuple):
    """A changed script.

    Attributes:
        script: The name of the script that it was made from.
        change: What was changed.
        rules: Those that may find it; none where nothing is wrong.
        text: The changed script.
    """

    script: str
    change: str
    rules: tuple[str, ...]
    text: str


def mutants(*, faults: bool) -> Iterator[Mutant]:
    """All that can be made of the scripts, with a mistake or without."""
    changes = FAULTS if faults else CHANGES
    for path in SCRIPTS:
        tree = ast.parse(path.read_text())
        for name, entry in changes.items():
            changed = copy.deepcopy(tree)
            change, rules = entry if isinstance(entry, tuple) else (entry, ())
            if change(changed):
                text = ast.unparse(ast.fix_missing_locations(changed))
                yield Mutant(path.stem, name, rules, text)


class Said(NamedTuple):
    """What the command said of a mutant.

    Attributes:
        certain: The rules that were certain.
        possible: Those that were not.
        error: The last line on stderr of a script that raised.
    """

    certain: tuple[str, ...]
    possible: tuple[str, ...]
    error: str


def judged(mutant: Mutant, folder: Path) -> Said:
    """Run a mutant by the command."""
    (folder / "script.py").write_text(mutant.text)
    told = folder / "said.json"
    told.unlink(missing_ok=True)
    ran = forks().run(folder, "--json", str(told), "script.py", how="command")
    found = json.loads(told.read_text())["findings"] if told.exists() else []
    certain = tuple(one["rule"] for one in found if one["certain"])
    possible = tuple(one["rule"] for one in found if not one["certain"])
    error = ran.err.strip().splitlines()[-1] if ran.code not in (0, 3) else ""
    return Said(certain, possible, error)
