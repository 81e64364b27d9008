"""What the command takes: its options, where pyproject.toml gives them, and what is wrong use.

Wrong use is answered in one line that names the cure, before the script has begun.
"""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from companion.command.configuration import configured
from companion.command.kinds import FOUND, positive, rules_of
from companion.command.notebooks.cells import code_cells, is_notebook
from companion.command.starting import is_runnable
from companion.records.version import installed

FORMATS = ("text", "json", "github", "sarif")
FAILS = ("certain", "possible", "never")
TO_A_FILE = ("json", "sarif")  # stdout is the script's, and stderr may be


class Parser(argparse.ArgumentParser):
    """One that says in a single line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Say it, and exit."""
        if message.startswith("the following arguments are required: argv"):
            message = "which script? companion train.py, or companion -m package.train"
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')}\n")


def parse(arguments: Sequence[str], prog: str) -> argparse.Namespace:
    """The options, the script, and its arguments.

    Each option that is not given is as pyproject.toml says, or else as the help says.
    """
    parser = _parser(prog)
    given, strangers = parser.parse_known_args(arguments)
    if strangers and strangers[0].startswith("-"):
        parser.error(_no_option(strangers[0], parser))
    if given.argv[0] == "--" and len(given.argv) > 1:
        given.argv.pop(0)
    given.script = given.argv[0]
    try:
        _check_script(given)
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
        usage="%(prog)s [options] (script.py | notebook.ipynb | -m module) [arguments]\n"
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
        allow_abbrev=False,
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
    add("--version", action=_Versions, help="print the versions, and exit")
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


def _no_option(word: str, parser: argparse.ArgumentParser) -> str:
    name = word.partition("=")[0]
    names = sorted(o for action in parser._actions for o in action.option_strings)
    alike = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    hint = f"did you mean {alike[0]}?" if alike else "--help lists them"
    return f"no option is called {name!r}; {hint} (the script's own stand behind its name)"


def _check_script(given: argparse.Namespace) -> None:
    """Whether there is something to run.

    Raises:
        ValueError: If not; with the cure.
    """
    script = given.script
    if given.module:
        return
    if script == "-":
        if sys.stdin.isatty():
            raise ValueError("- reads the script from standard input, and that is a terminal here")
        return
    if not is_runnable(script):
        raise ValueError(f"no such script: {script!r}; {_nearest(script)}")
    if os.path.isdir(script) and not _has_main(script):
        inside = sorted(name for name in os.listdir(script) if name.endswith((".py", ".ipynb")))
        one = next(
            (name for name in inside if "train" in name), inside[0] if inside else "train.py"
        )
        raise ValueError(
            f"{script!r} is a folder without a __main__.py; name the script in it, such as "
            f"{os.path.join(script, one)}"
        )
    if not os.access(script, os.R_OK):
        raise ValueError(f"{script!r} cannot be read by this user; chmod u+r {script}")
    if is_notebook(script):
        code_cells(script)


def _nearest(script: str) -> str:
    """What was meant, where it can be guessed."""
    folder, name = os.path.split(script)
    beside: Iterable[str] = os.listdir(folder or ".") if os.path.isdir(folder or ".") else ()
    alike = difflib.get_close_matches(name, [f"{name}.py", *beside], n=1, cutoff=0.75)
    if alike and os.path.exists(os.path.join(folder, alike[0])):
        return f"did you mean {os.path.join(folder, alike[0])}?"
    return f"to run a module: -m {script}"


def _has_main(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, f"__main__.py{c}")) for c in ("", "c"))


def _beside(given: argparse.Namespace) -> Path:
    """The folder whose pyproject.toml counts first."""
    if given.module or given.script == "-" or not os.path.exists(given.script):
        return Path.cwd()
    script = Path(given.script).absolute()
    return script if script.is_dir() else script.parent
