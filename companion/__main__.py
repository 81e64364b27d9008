"""`python -m companion train.py [its arguments]`: watch a script's first steps, edit nothing.

The script runs as `__main__`, as it would alone: same arguments, same output, same failure, same
traceback, same exit code. The report goes to stderr.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import runpy
import sys
import types
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import TracebackType
from typing import Any

from companion.render.text import count_steps, text
from companion.scout import Scout

FOUND = 3  # exit code of a script that ends well, with a certain finding


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; `--help` says what it takes."""
    given = _parse(sys.argv[1:] if arguments is None else list(arguments))
    report = _Report(given)
    scout = Scout(given.steps, report.finish, package=_package(given))
    report.scout = scout
    sys.excepthook = _without_us(sys.excepthook)
    scout.start()
    try:
        _run(given)
    except SystemExit as error:
        scout.stop(error)
        report.print()
        if error.code in (None, 0):
            raise SystemExit(report.exit_code()) from None
        raise
    except BaseException as error:
        scout.stop(error)
        report.print()
        raise
    scout.stop(None)
    report.print()
    sys.exit(report.exit_code())


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m companion",
        usage="%(prog)s [--steps N] [--stop] [--json FILE] (script.py | -m module) [arguments]",
        description="Run a training script, unedited, and report on stderr which of its lines "
        "changed what in its first steps, and what is wrong with them.",
        epilog="The exit code is the script's own; if that is 0 and something is certainly "
        f"wrong, it is {FOUND}.",
    )
    parser.add_argument(
        "--steps", type=_positive, default=3, metavar="N", help="how many steps to watch (3)"
    )
    parser.add_argument("--stop", action="store_true", help="end the script after these steps")
    parser.add_argument("--json", metavar="FILE", help="write steps and findings as JSON, too")
    parser.add_argument("-m", dest="module", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("script", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if not given.module and not Path(given.script).is_file():
        parser.error(f"no such script: {given.script!r}; to run a module: -m {given.script}")
    return given


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def _package(given: argparse.Namespace) -> str | None:
    """The folder of the package that runs; its files are the user's wherever they are."""
    if not given.module:
        return None
    found = importlib.util.find_spec(given.script.partition(".")[0])
    places = None if found is None else found.submodule_search_locations
    return os.path.realpath(next(iter(places))) if places else None


def _run(given: argparse.Namespace) -> None:
    """Run the script or module as Python itself would."""
    sys.argv = [given.script, *given.rest]
    if given.module:
        runpy.run_module(given.script, run_name="__main__", alter_sys=True)
        return
    path = os.path.abspath(given.script)
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__loader__ = SourceFileLoader("__main__", path)
    module.__dict__["__cached__"] = None
    sys.modules["__main__"] = module
    exec(compile(Path(path).read_bytes(), path, "exec"), module.__dict__)


class _Report:
    """What is said on stderr and written as JSON, once."""

    scout: Scout

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._printed = False
        self._certain = False

    def finish(self) -> None:
        """The steps to be watched are over."""
        self.print()
        if self._given.stop:
            raise SystemExit(self.exit_code())

    def exit_code(self) -> int:
        """0, or `FOUND`."""
        return FOUND if self._certain else 0

    def print(self) -> None:
        """Say what was seen, the first time this is called."""
        if self._printed:
            return
        self._printed = True
        routine = self.scout.routine
        records = () if routine is None else routine.records
        findings = [] if routine is None else routine.diagnose()
        self._certain = any(finding.certain for finding in findings)
        steps = count_steps(records)
        if routine is None or not records:
            words = (
                "companion: no training loop ran: nothing called backward(), nor an optimizer's "
                "step() for a network"
            )
        else:
            table = text(records, network=routine.network, findings=findings, as_written=True)
            verdict = f"{_count(len(findings), 'finding')}"
            words = f"companion: watched {_count(steps, 'step')}, {verdict}\n{table}"
        sys.stdout.flush()
        print(words, file=sys.stderr, flush=True)
        if self._given.json is not None:
            whole = {
                "script": self._given.script,
                "steps": steps,
                "lines": len(records),
                "findings": [finding.to_dict() for finding in findings],
            }
            Path(self._given.json).write_text(json.dumps(whole, indent=1), encoding="utf-8")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _without_us(hook: Any) -> Any:
    """An excepthook that leaves out the frames above the script's own."""

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        ours = {__file__, runpy.__file__, "<frozen runpy>"}
        trimmed = traceback
        while trimmed is not None and trimmed.tb_frame.f_code.co_filename in ours:
            trimmed = trimmed.tb_next
        hook(kind, error.with_traceback(trimmed or traceback), trimmed or traceback)

    return excepthook


if __name__ == "__main__":
    main()
