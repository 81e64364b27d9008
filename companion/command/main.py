"""`python -m companion train.py [its arguments]`: watch a script's first steps, edit nothing.

The script runs as `__main__`, as it would alone: same arguments, same output, same failure, same
traceback, same exit code. The report goes to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from traceback import print_exception
from types import TracebackType
from typing import Any

from companion.command.explaining.asked import WORDS, tell
from companion.command.notebooks.cells import is_notebook
from companion.command.options import parse
from companion.command.ranks.place import place
from companion.command.ranks.report import RanksReport
from companion.command.report import Report
from companion.command.scout.scout import Scout
from companion.command.starting import begin_path, place_of, run


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; `--help` says what it takes."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0] in WORDS and not os.path.exists(words[0]):
        tell(words, _prog(words[0]))
        return
    given = parse(words, _prog())
    if given.module:
        begin_path()
    here = place(os.environ)
    report = Report(given) if here is None else RanksReport(given, here)
    scout = Scout(
        given.steps,
        report.finish,
        place_of(given.script, module=given.module),
        every=given.every,
        guarded=given.guard and not given.stop,
        into=given.into,
    )
    report.scout = scout
    scout.start()
    try:
        run(given.script, given.argv[1:], module=given.module)
    except SystemExit as error:
        code = _code_of(error)
        report.end(error, _number_of(code))
        if report.exit_code() and (code is None or (type(code) is int and not code)):
            raise SystemExit(report.exit_code()) from None
        raise
    except BaseException as error:
        report.end(error, 130 if type(error) is KeyboardInterrupt else 1)
        hook = getattr(sys, "excepthook", None)  # the script may have deleted it
        if is_notebook(given.script) and hook is sys.__excepthook__:
            hook = print_exception  # which knows the lines of cells
        if hook is not None:
            sys.excepthook = _without_us(hook)
        raise
    report.end(None, 0)
    if report.exit_code():
        sys.exit(report.exit_code())


def _prog(then: str = "") -> str:
    """How this was started, as the usage shows it."""
    mine = (
        "companion"
        if os.path.basename(sys.argv[0]).startswith("companion")
        else "python -m companion"
    )
    return f"{mine} {then}".rstrip()


def _number_of(code: object) -> int:
    """What Python exits with: 1 where a script gives words."""
    if code is None or type(code) is int:
        return code or 0
    return 1


_code_of = SystemExit.__dict__["code"].__get__  # a subclass may make a property of it


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
