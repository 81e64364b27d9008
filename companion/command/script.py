"""Whether there is something to run, and what was meant where there is not."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder

from companion.command.explaining.asked import WORDS
from companion.command.notebooks.cells import code_cells, is_notebook
from companion.command.starting import is_runnable
from companion.diagnosis.alike import NAMES

KINDS = (".py", ".ipynb")
MOST = 3  # names of scripts that are listed


def check_script(given: argparse.Namespace) -> None:
    """Whether there is something to run.

    Raises:
        ValueError: If not; with the cure.
    """
    script = given.script
    if given.module:
        _check_module(script)
        return
    if script == "-":
        if sys.stdin is not None and sys.stdin.isatty():
            raise ValueError("- reads the script from standard input, and that is a terminal here")
        return
    if not is_runnable(script):
        raise ValueError(f"no such script: {script!r}; {_meant(script, given.argv[1:])}")
    if os.path.isdir(script) and not _has_main(script):
        raise ValueError(f"{script!r} is a folder without a __main__.py{_inside(script)}")
    if not os.access(script, os.R_OK):
        raise ValueError(f"{script!r} cannot be read by this user; chmod u+r {script}")
    if is_notebook(script):
        code_cells(script)


def _check_module(name: str) -> None:
    stem, kind = os.path.splitext(name)
    if kind in KINDS and os.path.isfile(name) and not os.path.isdir(stem):
        raise ValueError(f"-m takes the name of a module, and this is a file: companion {name}")
    path = name.replace(os.sep, "/")
    if "/" in path:
        dotted = ".".join(part for part in path.split("/") if part.strip(".")) or "package.train"
        raise ValueError(f"-m takes the name of a module, with dots: -m {dotted}")


def _inside(folder: str) -> str:
    """The script that may be meant."""
    inside = _scripts_in(folder)
    if not inside:
        return ", and no script is in it"
    one = next((name for name in inside if "train" in name), inside[0])
    return f"; name the script in it, such as {os.path.join(folder, one)}"


def _meant(script: str, arguments: Sequence[str]) -> str:
    """What was meant, where it can be guessed; else what there is."""
    folder, name = os.path.split(script)
    if os.path.islink(script):
        return "it is a link that leads nowhere"
    if os.path.isfile(folder):
        return f"did you mean {folder}?"
    if folder and not os.path.isdir(folder):
        return f"there is no folder {folder!r}"
    beside = _names_in(folder)
    stems = name, os.path.splitext(name)[0]
    alike = [one for stem in stems for kind in KINDS if (one := f"{stem}{kind}") in beside]
    alike = alike or difflib.get_close_matches(name, beside, n=1, cutoff=0.75)
    if alike:
        return f"did you mean {os.path.join(folder, alike[0])}?"
    if not folder and arguments and is_runnable(arguments[0]):
        return f"without it: companion {arguments[0]}"
    command = None if folder else _command(name)
    if command is not None:
        return f"did you mean companion {command}?"
    if _is_module(script):
        return f"to run a module: -m {script}"
    return _what_is_there(folder)


def _command(name: str) -> str | None:
    """What of our own is called so, or nearly so."""
    if name in ("help", "version"):
        return f"--{name}"
    rule = difflib.get_close_matches(name.lower(), NAMES, n=1, cutoff=0.85)
    if rule:
        return f"explain {rule[0]}"
    word = difflib.get_close_matches(name, WORDS, n=1, cutoff=0.75)
    return {"explain": "explain RULE", "rules": "rules"}[word[0]] if word else None


def _is_module(name: str) -> bool:
    """Whether a module of that name is here or installed, itself or in the packages before it."""
    path: Sequence[str] | None = [os.getcwd(), *sys.path]
    for part in name.split("."):
        spec = PathFinder.find_spec(part, path) if part.isidentifier() and path else None
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True


def _what_is_there(folder: str) -> str:
    place, scripts = folder or "this folder", _scripts_in(folder)
    if not scripts:
        return f"no script is in {place}"
    more = f" and {len(scripts) - MOST} more" if len(scripts) > MOST else ""
    return f"in {place} there {'is' if len(scripts) == 1 else 'are'} " + (
        ", ".join(scripts[:MOST]) + more
    )


def _scripts_in(folder: str) -> list[str]:
    named = [one for one in _names_in(folder) if one.endswith(KINDS) and one[0] not in "._"]
    found = [one for one in named if os.path.exists(os.path.join(folder, one))]
    return sorted(found, key=lambda name: (not name.endswith(KINDS[0]), name))


def _names_in(folder: str) -> list[str]:
    """Of files and folders; nothing where they cannot be asked for."""
    try:
        return os.listdir(folder or ".")
    except OSError:
        return []


def _has_main(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, f"__main__.py{c}")) for c in ("", "c"))
