"""What the command takes: its options, where pyproject.toml gives them, and what is wrong use.

Wrong use is answered in one line that names the cure, before the script has begun.
"""

from __future__ import annotations

import argparse
import difflib
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from companion.command.configuration import configured
from companion.command.kinds import FOUND, positive, rules_of
from companion.command.parser import Parser
from companion.command.script import KINDS, check_script
from companion.records.version import installed

FORMATS = ("text", "json", "github", "sarif")
FAILS = ("certain", "possible", "never")
TO_A_FILE = ("json", "sarif")  # stdout is the script's, and stderr may be


def parse(arguments: Sequence[str], prog: str) -> argparse.Namespace:
    """The options, the script, and its arguments.

    Each option that is not given is as pyproject.toml says, or else as the help says.
    """
    parser = _parser(prog)
    parser.missing = lambda: _no_script(arguments, parser)
    given, strangers = parser.parse_known_args(arguments)
    if strangers and strangers[0].startswith("-"):
        parser.error(_no_option(strangers[0], parser))
    if given.argv[0] == "--" and len(given.argv) > 1:
        given.argv.pop(0)
    given.script = given.argv[0]
    try:
        check_script(given)
        given.configuration = configured(_beside(given))
    except ValueError as error:
        parser.error(str(error))
    for name, value in {**DEFAULTS, **given.configuration.options}.items():
        if getattr(given, name, None) is None:
            setattr(given, name, value)
    given.here = os.path.abspath("")  # the script may change the folder
    for option in "json", "html", "output":
        if getattr(given, option) is not None:
            path = Path(getattr(given, option)).absolute()
            if path.is_dir() or not path.parent.is_dir():
                parser.error(f"--{option}: no file can be written there: {path}")
            if path.suffix in KINDS and path.exists():
                parser.error(f"--{option}: that would write over a script: {path}; name another")
            setattr(given, option, path)
    if given.format in TO_A_FILE and given.output is None:
        parser.error(
            f"--format {given.format} needs --output FILE: stdout and stderr are the script's"
        )
    return given


DEFAULTS: dict[str, Any] = {
    "steps": 3,
    "every": 1,
    "guard": True,
    "select": None,
    "ignore": (),
    "fail_on": "certain",
    "format": "text",
}


def names_of_options() -> frozenset[str]:
    """The long names of all options."""
    return frozenset(o for a in _parser("companion")._actions for o in a.option_strings if o[2:])


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        usage="%(prog)s [options] script.py|notebook.ipynb [arguments]\n"
        "       %(prog)s [options] -m module [arguments]\n"
        "       %(prog)s explain RULE\n       %(prog)s rules",
        description="Run a training script or notebook, unedited, and report on stderr which of "
        "its lines changed what in its first steps, and what is wrong with them. Later, lines "
        "that have not run before are watched, such as a validation's, and a guard stays: when "
        "the script is over it names gradients that were not finite or far larger than before, a "
        "learning rate of 0, and steps that a GradScaler skipped.",
        epilog="The exit code is the script's own; if that is 0 and something is certainly "
        f"wrong, it is {FOUND}; not where it is one of several processes. A comment "
        "`# companion: ignore[rule]` accepts a finding on its line. [tool.companion] in "
        "pyproject.toml takes steps, every, guard, select, ignore, fail-on and per-file-ignores.",
    )
    add = parser.add_argument
    add("--steps", type=positive, metavar="N", help="how many steps to watch (3)")
    add("--every", type=positive, metavar="N", help="watch one step in so many (1)")
    add("--stop", action="store_true", help="end the script after these steps")
    add(
        "--no-guard", dest="guard", action="store_false", default=None,
        help="look at nothing any more after these steps",
    )  # fmt: skip
    listed: dict[str, Any] = {"action": _Rules, "type": rules_of, "metavar": "RULE[,RULE]"}
    add("--select", help="report findings of these rules, and of no others", **listed)
    add("--ignore", help="do not report findings of these rules", **listed)
    add(
        "--fail-on", choices=FAILS, metavar="{" + ",".join(FAILS) + "}",
        help=f"which findings make the exit code {FOUND} (certain)",
    )  # fmt: skip
    add(
        "--format", choices=FORMATS, metavar="{" + ",".join(FORMATS) + "}",
        help="write a report for a program, too: github's annotations come last on stderr, the "
        "others need --output",
    )  # fmt: skip
    add(
        "--into", metavar="NAME", action="append", default=[],
        help="follow the lines of this function, class or module of a library, too",
    )  # fmt: skip
    add("--output", metavar="FILE", help="where the --format goes")
    add("--json", metavar="FILE", help="the same as --format json --output FILE, beside any other")
    add("--html", metavar="FILE", help="write a page that plays the steps, too")
    add("-V", "--version", action=_Versions, help="print the versions, and exit")
    add("-m", dest="module", action="store_true", help=argparse.SUPPRESS)
    add("argv", nargs=argparse.PARSER, help=argparse.SUPPRESS)
    return parser


class _Rules(argparse.Action):
    """Given several times, they add up."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add them to those before."""
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), *values))


class _Versions(argparse.Action):
    """Looked up only where they are asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        """Say them."""
        others = f"torch {torch.__version__}, Python {platform.python_version()}"
        print(f"companion {installed()} ({others})")
        parser.exit()


def _no_option(word: str, parser: Parser) -> str:
    name = word.partition("=")[0]
    if name[:2] == "-m":
        return f"behind -m stands a space: -m {name[2:]}"
    alike = difflib.get_close_matches(name, parser.names(), n=1, cutoff=0.7)
    meant = _ELSEWHERE.get(name.lstrip("-")) or "".join(alike)
    hint = f"did you mean {meant}?" if meant else "--help lists them"
    return f"no option is called {name!r}; {hint} (the script's own stand behind its name)"


# What others call options → where it is here.
_ELSEWHERE = {
    "c": "companion -, with the code on standard input",
    "explain": "companion explain RULE",
    "list": "companion rules",
    "list-rules": "companion rules",
    "rules": "companion rules",
}


def _no_script(words: Sequence[str], parser: Parser) -> str:
    """Why none is left: an option that there is not, or one that took it for its value."""
    takes, names, before = parser.takes(), parser.names(), ""
    for word in words:
        if before in takes:
            before = ""
        elif word[:1] == "-" and word.partition("=")[0] not in names and word.strip("-"):
            return _no_option(word, parser)
        else:
            before = word
    option = words[-2] if len(words) > 1 else ""
    if option in takes and words[-1].endswith(KINDS):
        script, what = words[-1], takes[option]
        return f"which script? {option} has taken {script}: companion {option} {what} {script}"
    return "which script? companion train.py, or companion -m package.train"


def _beside(given: argparse.Namespace) -> Path:
    """The folder whose pyproject.toml counts first."""
    if given.module or given.script == "-" or not os.path.exists(given.script):
        return Path.cwd()
    script = Path(given.script).absolute()
    return script if script.is_dir() else script.parent
