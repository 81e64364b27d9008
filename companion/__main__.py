"""`python -m companion train.py [its arguments]`: watch a script's first steps, edit nothing.

The script runs as `__main__`, as it would alone: same arguments, same output, same failure, same
traceback, same exit code. The report goes to stderr.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from companion._raised import words_of
from companion._visible import encodable
from companion.render.text import count_steps, text
from companion.scout import Scout
from companion.starting import place_of, run
from companion.wall import is_ours

FOUND = 3  # exit code of a script that ends well, with a certain finding
# One process of several, says the launcher: if one ends with a code, the others are ended, too.
_RANKS = ("TORCHELASTIC_RUN_ID", "RANK")
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; `--help` says what it takes."""
    given = _parse(sys.argv[1:] if arguments is None else list(arguments))
    report = _Report(given)
    scout = Scout(given.steps, report.finish, place_of(given.script, module=given.module))
    report.scout = scout
    scout.start()
    try:
        run(given.script, given.argv[1:], module=given.module)
    except SystemExit as error:
        report.end(error)
        code = _code_of(error)
        if report.exit_code() and (code is None or (type(code) is int and not code)):
            raise SystemExit(report.exit_code()) from None
        raise
    except BaseException as error:
        report.end(error)
        hook = getattr(sys, "excepthook", None)  # the script may have deleted it
        if hook is not None:
            sys.excepthook = _without_us(hook)
        raise
    report.end(None)
    if report.exit_code():
        sys.exit(report.exit_code())


_code_of = SystemExit.__dict__["code"].__get__  # a subclass may make a property of it


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m companion",
        usage="%(prog)s [--steps N] [--stop] [--json FILE] [--html FILE] "
        "(script.py | -m module) [arguments]",
        description="Run a training script, unedited, and report on stderr which of its lines "
        "changed what in its first steps, and what is wrong with them.",
        epilog="The exit code is the script's own; if that is 0 and something is certainly "
        f"wrong, it is {FOUND}; not where it is one of several processes.",
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
    if given.argv[0] == "--" and len(given.argv) > 1:
        given.argv.pop(0)
    given.script = given.argv[0]
    if given.script == "-" and sys.stdin.isatty():
        parser.error("- reads the script from standard input, and that is a terminal here")
    if not given.module and given.script != "-" and not _can_be_run(given.script):
        parser.error(f"no such script: {given.script!r}; to run a module: -m {given.script}")
    for option in "json", "html":
        if getattr(given, option) is not None:
            path = Path(getattr(given, option)).absolute()  # the script may change the folder
            if path.is_dir() or not path.parent.is_dir():
                parser.error(f"no file can be written there: --{option} {path}")
            setattr(given, option, path)
    return given


def _can_be_run(script: str) -> bool:
    try:
        kind = os.stat(script).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


class _Report:
    """What is said on stderr and written into files."""

    scout: Scout

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._out = _Out(sys.stderr)
        self._pid = os.getpid()
        self._printed = self._insisted = False
        self._certain = False
        self._is_alone = not _is_one_of_several()

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

    def end(self, error: BaseException | None) -> None:
        """The script is over."""
        try:
            self.scout.stop(error)
            self._print()
            if self.scout.routine is not None and self.scout.unwatched and self._is_here():
                self._say(*self._unwatched())
                self._write()
        except Exception as failure:
            if not is_ours(failure):
                raise
            self._say(f"there is no report ({words_of(failure)})")

    def exit_code(self) -> int:
        """0, or `FOUND`; one of several processes must not end all others."""
        return FOUND if self._certain and self._is_here() and self._is_alone else 0

    def _is_here(self) -> bool:
        """Whether this is the process that was started, not a fork of it."""
        return os.getpid() == self._pid

    def _print(self) -> None:
        """Say what was seen, the first time this is called."""
        if self._printed or not self._is_here():
            return
        self._printed = True
        self._is_alone = self._is_alone and not _is_in_a_group()
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
                if not is_ours(error):
                    raise
                self._say(f"no page was written: {error}")

    def _unwatched(self) -> list[str]:
        return [f"not watched: {words}" for words in self.scout.unwatched]

    def _say(self, *sentences: str) -> None:
        try:
            if type(sys.stdout) is io.TextIOWrapper:  # another one is the script's own
                sys.stdout.flush()
        except Exception as error:  # closed, or no file at all
            if not is_ours(error):
                raise
        for words in sentences:
            self._out.say(f"companion: {words}")

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
            if not is_ours(error):
                raise
            self._say(f"no JSON was written: {error}")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


class _Out:
    """Where a stream goes, by a number of our own: the script may close it, and use its number."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None)
        try:
            self._number: int | None = os.dup(stream.fileno())
        except (AttributeError, OSError, ValueError):  # none, closed, or no file
            self._number = None

    def say(self, words: str) -> None:
        """Write a line; where it cannot be written, nobody reads it."""
        line = encodable(f"{words}\n", self._encoding)
        try:
            if self._number is not None:
                raw = line.replace("\n", os.linesep).encode(self._encoding or "utf-8", "replace")
                while raw:
                    raw = raw[os.write(self._number, raw) :]
            elif self._stream is not None:
                self._stream.write(line)
        except Exception as error:
            if not is_ours(error):
                raise


def _is_one_of_several() -> bool:
    """Whether a launcher started this process as one of several."""
    sizes = [os.environ.get(name, "") for name in _SIZES]
    return any(name in os.environ for name in _RANKS) or any(
        size.isdecimal() and int(size) > 1 for size in sizes
    )


def _is_in_a_group() -> bool:
    """Whether the script has joined a process group by itself."""
    distributed = torch.distributed
    return bool(
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _without_us(hook: Any) -> Any:
    """An excepthook that leaves out the frames above the script's own."""

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        inner = traceback
        while inner is not None and inner.tb_frame.f_code is not run.__code__:
            inner = inner.tb_next
        if inner is None:
            inner = traceback
        while inner is not None and inner.tb_frame.f_code.co_filename.startswith(_HERE):
            inner = inner.tb_next
        BaseException.with_traceback(error, inner)
        sys.last_traceback = inner
        sys.excepthook = hook
        hook(kind, error, inner)

    return excepthook


_HERE = os.path.dirname(__file__) + os.sep


if __name__ == "__main__":
    main()
