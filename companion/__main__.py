"""`python -m companion train.py [its arguments]`: watch a script's first steps, edit nothing.

The script runs as `__main__`, as it would alone: same arguments, same output, same failure, same
traceback, same exit code. The report goes to stderr.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
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

from companion._visible import encodable
from companion.render.text import count_steps, text
from companion.scout import Scout

FOUND = 3  # exit code of a script that ends well, with a certain finding


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; `--help` says what it takes."""
    given = _parse(sys.argv[1:] if arguments is None else list(arguments))
    report = _Report(given)
    scout = Scout(given.steps, report.finish, place=_place(given))
    report.scout = scout
    scout.start()
    try:
        _run(given)
    except SystemExit as error:
        scout.stop(error)
        report.end()
        if error.code is None or (isinstance(error.code, int) and not error.code):
            raise SystemExit(report.exit_code()) from None
        raise
    except BaseException as error:
        scout.stop(error)
        report.end()
        sys.excepthook = _without_us(sys.excepthook)
        raise
    scout.stop(None)
    report.end()
    sys.exit(report.exit_code())


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m companion",
        usage="%(prog)s [--steps N] [--stop] [--json FILE] [--html FILE] "
        "(script.py | -m module) [arguments]",
        description="Run a training script, unedited, and report on stderr which of its lines "
        "changed what in its first steps, and what is wrong with them.",
        epilog="The exit code is the script's own; if that is 0 and something is certainly "
        f"wrong, it is {FOUND}.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--steps", type=_positive, default=3, metavar="N", help="how many steps to watch (3)"
    )
    parser.add_argument("--stop", action="store_true", help="end the script after these steps")
    parser.add_argument("--json", metavar="FILE", help="write steps and findings as JSON, too")
    parser.add_argument("--html", metavar="FILE", help="write a page that plays the steps, too")
    parser.add_argument("-m", dest="module", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("argv", nargs=argparse.PARSER, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    given.script = given.argv[0]
    if not given.module and not Path(given.script).is_file():
        parser.error(f"no such script: {given.script!r}; to run a module: -m {given.script}")
    for option in "json", "html":
        if getattr(given, option) is not None:
            path = Path(getattr(given, option)).absolute()  # the script may change the folder
            if path.is_dir() or not path.parent.is_dir():
                parser.error(f"no file can be written there: --{option} {path}")
            setattr(given, option, path)
    return given


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def _place(given: argparse.Namespace) -> str | None:
    """The script, or the folder of the package that runs: the user's wherever it is."""
    if not given.module:
        return os.path.realpath(str(given.script))
    top = given.script.partition(".")[0]
    found = importlib.util.find_spec(top) if top else None
    if found is None:
        return None
    places = found.submodule_search_locations
    place = next(iter(places), None) if places else found.origin
    return None if place is None else os.path.realpath(place)


def _run(given: argparse.Namespace) -> None:
    """Run the script or module as Python itself would."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    if given.module:
        sys.argv = ["-m", *given.argv[1:]]
        runpy._run_module_as_main(given.script)  # type: ignore[attr-defined]  # what -m does
        return
    sys.argv = given.argv
    path = os.path.join(os.getcwd(), given.script)
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    module.__file__ = path
    module.__loader__ = SourceFileLoader("__main__", path)
    module.__dict__["__cached__"] = None
    code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)


class _Report:
    """What is said on stderr and written into files."""

    scout: Scout

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._stderr = sys.stderr  # the script may put another one in its place
        self._pid = os.getpid()
        self._printed = self._insisted = False
        self._certain = False

    def finish(self) -> None:
        """The steps to be watched are over."""
        self._print()
        if self._given.stop:
            self.scout.insist(self._insist)
            raise SystemExit(self.exit_code())

    def _insist(self) -> None:
        """The script has caught the exit, and trains on."""
        if not self._insisted:
            self._insisted = True
            self._say("the script caught the SystemExit of --stop; each step now raises it again")
        raise SystemExit(self.exit_code())

    def end(self) -> None:
        """The script is over."""
        self._print()
        if self.scout.routine is not None and self.scout.unwatched and self._is_here():
            self._say(*self._unwatched())
            self._write()

    def exit_code(self) -> int:
        """0, or `FOUND`."""
        return FOUND if self._certain and self._is_here() else 0

    def _is_here(self) -> bool:
        """Whether this is the process that was started, not a fork of it."""
        return os.getpid() == self._pid

    def _print(self) -> None:
        """Say what was seen, the first time this is called."""
        if self._printed or not self._is_here():
            return
        self._printed = True
        routine = self.scout.routine
        self._records = () if routine is None else routine.records
        self._findings = [] if routine is None else routine.diagnose()
        self._certain = any(finding.certain for finding in self._findings)
        self._steps = count_steps(self._records)
        if routine is not None and self._records:
            table = text(
                self._records, network=routine.network, findings=self._findings, as_written=True
            )
            verdict = _count(len(self._findings), "finding")
            self._say(f"watched {_count(self._steps, 'step')}, {verdict}\n{table}")
        elif self.scout.problem is not None:
            self._say(f"this script cannot be watched: {self.scout.problem}")
        elif self.scout.unwatched:
            self._say("no training loop was watched", *self._unwatched())
        else:
            self._say(
                "no training loop ran in this process: nothing called backward(), nor an "
                "optimizer's step(), for a network"
            )
        self._write()
        if self._given.html is not None and routine is not None:
            try:
                routine.play().save(self._given.html)
            except OSError as error:
                self._say(f"no page was written: {error}")

    def _unwatched(self) -> list[str]:
        return [f"not watched: {words}" for words in self.scout.unwatched]

    def _say(self, *sentences: str) -> None:
        with contextlib.suppress(Exception):  # closed, or no file at all
            sys.stdout.flush()
        if self._stderr is not None:
            with contextlib.suppress(OSError, ValueError):
                for words in sentences:
                    encoding = getattr(self._stderr, "encoding", None)
                    words = encodable(f"companion: {words}", encoding)
                    print(words, file=self._stderr, flush=True)

    def _write(self) -> None:
        if self._given.json is None:
            return
        whole = {
            "script": self._given.script,
            "steps": self._steps,
            "lines": len(self._records),
            "findings": [finding.to_dict() for finding in self._findings],
            "unwatched": self.scout.unwatched,
        }
        try:
            self._given.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
        except OSError as error:
            self._say(f"no JSON was written: {error}")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _without_us(hook: Any) -> Any:
    """An excepthook that leaves out the frames above the script's own."""

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        inner = traceback
        while inner is not None and inner.tb_frame.f_code is not _run.__code__:
            inner = inner.tb_next
        if inner is not None:
            traceback = inner.tb_next
        hook(kind, error.with_traceback(traceback), traceback)

    return excepthook


if __name__ == "__main__":
    main()
