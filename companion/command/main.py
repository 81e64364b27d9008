"""`python -m companion train.py [its arguments]`: watch a script's first steps, edit nothing.

The script runs as `__main__`, as it would alone: same arguments, same output, same failure, same
traceback, same exit code. The report goes to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from companion.command.explaining.asked import WORDS, tell
from companion.command.last_words import LastWords, code_of
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
        code, last = code_of(error), LastWords(error)
        report.end(error, _number_of(code), last.say)
        if last.are_said:
            raise SystemExit(1) from None
        if report.exit_code() and (code is None or (type(code) is int and not code)):
            raise SystemExit(report.exit_code()) from None
        raise
    except BaseException as error:
        last = LastWords(error, in_cells=is_notebook(given.script))
        report.end(error, 130 if type(error) is KeyboardInterrupt else 1, last.say)
        last.leave()
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


if __name__ == "__main__":
    main()
