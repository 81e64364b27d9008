"""Running one script alone, by the command and with trace(), and saying what differs."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.package.isolation.fuzzing.parts import FOUND, HUNG
from tests.package.programs import Program, program
from tests.package.running import ENVIRONMENT

ROOT = Path(__file__).parents[4]

AGAIN = 4  # runs of a script alone, when it seems to end otherwise
MODES = ("alone", "command", "trace")


class Ran(NamedTuple):
    """How a script ended."""

    mode: str
    code: int
    out: str
    err: str
    left: str  # what a trace has left behind in the process
    certain: bool = False  # whether companion has found something that is certainly wrong


class Runner:
    """Runs scripts in forks of one process."""

    def __init__(self, server: Program, folder: Path) -> None:
        self._server, self._folder = server, folder

    def run(self, script: str, mode: str) -> Ran:
        """Run a script in one of the modes."""
        code = self._run(script, mode, "")
        report = self._read("report.json")
        findings = json.loads(report)["findings"] if report else []
        certain = any(finding["certain"] for finding in findings)
        out, err, left = map(self._read, ("stdout", "stderr", "left"))
        return Ran(mode, code, _steady(out), _steady(err), left, certain)

    def records(self, script: str, mode: str, source: str) -> str:
        """What the traces hold that are made by a run which hears from a source; see `sources`."""
        self._run(script, mode, source)
        return _steady(self._read("records"))

    def _run(self, script: str, mode: str, source: str) -> int:
        for name in "stdout", "stderr", "report.json", "left", "records":
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / "script.py").write_text(script)
        return int(self._server.ask(json.dumps([mode, source, str(self._folder)])))

    def differences(self, script: str) -> dict[str, str]:
        """What is otherwise when the script is watched: by mode, in words; empty if nothing is.

        A script that ends alone in more than one way (a signal comes when it comes, freed memory
        holds what it holds) may end in any of these. Watched it runs again as well: a difference
        counts if it comes most times.
        """
        alone = [self.run(script, "alone")]
        found = {}
        for mode in MODES[1:]:
            watched = self.run(script, mode)
            words = compare(alone[0], watched)
            if words and len(alone) == 1:
                alone += [self.run(script, "alone") for _ in range(AGAIN)]
            several = len(set(alone)) > 1
            if words and not (several and _is_one_of(alone, watched)):
                again = [compare(alone[0], self.run(script, mode)) for _ in range(2)]
                if any(again):
                    found[mode] = words
        return found

    def report(self) -> str:
        """What companion said of the last script that ran by the command."""
        return self._read("report")

    def _read(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def runner(folder: Path) -> Iterator[Runner]:
    """Start the process. One folder serves all scripts: a path is part of a traceback."""
    server = program(
        "-m", "tests.package.isolation.fuzzing.server", folder=ROOT, variables=ENVIRONMENT
    )
    yield Runner(server, folder)
    server.close()


def _is_one_of(alone: list[Ran], watched: Ran) -> bool:
    """Whether a script that is never twice the same, or not always, ended like that alone, too."""
    return len(set(alone)) > 2 or any(not compare(one, watched) for one in alone)


def compare(alone: Ran, watched: Ran) -> str:
    """What differs, in words; empty if nothing does."""
    found = []
    allowed = {alone.code}
    if watched.mode == "command" and watched.certain and alone.code == 0:
        allowed = {FOUND}
    if watched.code not in allowed:
        found.append(f"ends with {_named(watched.code)}, alone with {_named(alone.code)}")
    for name in "out", "err", "left":
        found += _changed(f"std{name}", getattr(alone, name), getattr(watched, name))
    return "\n".join(found)


def _named(code: int) -> str:
    return {HUNG: "no end", -11: "a segmentation fault"}.get(code, f"exit code {code}")


def _changed(name: str, before: str, after: str) -> list[str]:
    if before == after:
        return []
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    lines_only = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return [f"{name.replace('stdleft', 'left behind')}:", *(f"  {line}" for line in lines_only)]


def _steady(text: str) -> str:
    """A text without addresses in memory."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x…", text)
