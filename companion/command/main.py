"""`python -m companion train.py [its arguments]`: watch a script's first steps, edit nothing.

The script runs as `__main__`, as it would alone: same arguments, same output, same failure, same
traceback, same exit code. The report goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import platform
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from companion.command.explaining.explain import explain, rules
from companion.command.ranks.place import place
from companion.command.ranks.report import RanksReport
from companion.command.report import FOUND, Report
from companion.command.scout.scout import Scout
from companion.command.starting import place_of, run
from companion.records.version import installed


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; `--help` says what it takes."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0] in ("explain", "rules") and not os.path.exists(words[0]):
        _tell(words)
        return
    given = _parse(words)
    here = place(os.environ)
    report = Report(given) if here is None else RanksReport(given, here)
    scout = Scout(
        given.steps,
        report.finish,
        place_of(given.script, module=given.module),
        guarded=given.guard and not given.stop,
        into=given.into,
    )
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


def _tell(words: Sequence[str]) -> None:
    """`explain RULE ...`, or `rules`."""
    parser = argparse.ArgumentParser(prog=_prog(words[0]), description=_TOLD[words[0]])
    if words[0] == "explain":
        parser.add_argument(
            "rules", nargs="+", metavar="RULE", help="its name, as a finding gives it"
        )
    asked = parser.parse_args(words[1:])
    try:
        told = [explain(name) for name in asked.rules] if words[0] == "explain" else [rules()]
    except ValueError as error:
        parser.error(str(error))
    print("\n\n\n".join(told))


_TOLD = {
    "explain": "What a rule means: a loop in which it finds something, and the same loop repaired. "
    "Both are run as they are shown.",
    "rules": "Every rule of the diagnosis, and what it sees.",
}


def _prog(then: str = "") -> str:
    """How this was started, as the usage shows it."""
    mine = (
        "companion"
        if os.path.basename(sys.argv[0]).startswith("companion")
        else "python -m companion"
    )
    return f"{mine} {then}".rstrip()


_code_of = SystemExit.__dict__["code"].__get__  # a subclass may make a property of it


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=_prog(),
        usage="%(prog)s [--steps N] [--stop] [--no-guard] [--into NAME] [--json FILE] "
        "[--html FILE] (script.py | -m module) [arguments]\n"
        "       %(prog)s explain RULE\n       %(prog)s rules",
        description="Run a training script, unedited, and report on stderr which of its lines "
        "changed what in its first steps, and what is wrong with them. Later, lines that have not "
        "run before are watched, such as a validation's, and a guard stays: when the script is "
        "over it names gradients that were not finite or far larger than before, "
        "a learning rate of 0, and steps that a GradScaler skipped.",
        epilog="The exit code is the script's own; if that is 0 and something is certainly "
        f"wrong, it is {FOUND}; not where it is one of several processes.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--steps", type=_positive, default=3, metavar="N", help="how many steps to watch (3)"
    )
    parser.add_argument("--stop", action="store_true", help="end the script after these steps")
    parser.add_argument(
        "--no-guard",
        dest="guard",
        action="store_false",
        help="look at nothing any more after these steps",
    )
    parser.add_argument(
        "--into",
        metavar="NAME",
        action="append",
        default=[],
        help="follow the lines of this function, class or module of a library, too",
    )
    parser.add_argument("--json", metavar="FILE", help="write steps and findings as JSON, too")
    parser.add_argument("--html", metavar="FILE", help="write a page that plays the steps, too")
    parser.add_argument("--version", action=_Versions, help="print the versions, and exit")
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


class _Versions(argparse.Action):
    """Looked up only where they are asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        """Say them."""
        others = f"torch {torch.__version__}, Python {platform.python_version()}"
        print(f"companion {installed()} ({others})")
        parser.exit()


def _can_be_run(script: str) -> bool:
    try:
        kind = os.stat(script).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {text!r}")
    return int(text)


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


_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # the whole package


if __name__ == "__main__":
    main()
