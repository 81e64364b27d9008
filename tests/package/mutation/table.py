"""Every mutant of every script, run by the command; what it said of each, and a table of that."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator, Sequence
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
    for path in SCRIPTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        original = ast.unparse(tree)
        entries = (
            [(name, fault.change, fault.rules) for name, fault in FAULTS.items()]
            if faults
            else [(name, change, ()) for name, change in CHANGES.items()]
        )
        for name, change, rules in entries:
            changed = copy.deepcopy(tree)
            made = change(changed)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if made and (text != original or name == "unchanged"):
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

    def verdict(self, rules: Sequence[str]) -> str:
        """Whether one of these is among them: "certain", "possible", "other", or "silent".

        Of a script that raises, and has no finding: "raises". Then torch says it itself.
        """
        if not set(rules).isdisjoint(self.certain):
            return "certain"
        if not set(rules).isdisjoint(self.possible):
            return "possible"
        if self.certain or self.possible:
            return "other"
        return "raises" if self.error else "silent"


def judged(mutant: Mutant, folder: Path) -> Said:
    """Run a mutant by the command."""
    (folder / "script.py").write_text(mutant.text, encoding="utf-8")
    told = folder / "said.json"
    told.unlink(missing_ok=True)
    ran = forks().run(folder, "--json", str(told), "script.py", how="command")
    found = json.loads(told.read_text(encoding="utf-8"))["findings"] if told.exists() else []
    certain = tuple(one["rule"] for one in found if one["certain"])
    possible = tuple(one["rule"] for one in found if not one["certain"])
    error = ran.err.strip().splitlines()[-1] if ran.code not in (0, 3) else ""
    return Said(certain, possible, error)


VERDICTS = ("certain", "possible", "raises", "other", "silent")


def table(faulty: Sequence[tuple[Mutant, Said]], sound: Sequence[tuple[Mutant, Said]]) -> str:
    """As Markdown: for each mistake how many mutants, and what was said of them."""
    verdicts = [(mutant, said.verdict(mutant.rules)) for mutant, said in faulty]
    lines = [
        "| mistake | mutants | certain | possible | raises by itself | another rule | silent |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (*FAULTS, ""):
        mine = [verdict for one, verdict in verdicts if not name or one.change == name]
        counts = [str(mine.count(verdict) or "") for verdict in VERDICTS]
        lines.append(f"| {' | '.join([name or '**all**', str(len(mine)), *counts])} |")
    missed = [f"{one.script}, {one.change}" for one, v in verdicts if v in ("other", "silent")]
    silent = sum(not said.certain and not said.possible for _, said in sound)
    return "\n".join(
        [
            *lines,
            "",
            f"Of {len(sound)} scripts without a mistake {silent} have no finding.",
            "",
            "Not found: " + ("; ".join(missed) or "none") + ".",
        ]
    )
