"""A script, run as Python itself would: what `python X` takes, and what X then finds around it.

X is a file, compiled or not, a folder or zip with a `__main__.py`, a pipe, or `-` for standard
input; or with `-m` a module. What Python does not take and we do is a notebook.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import pkgutil
import runpy
import stat
import sys
import types
from collections.abc import Sequence
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from typing import Any

from companion.command.notebooks.cells import is_notebook
from companion.command.notebooks.running import run_cells
from companion.tracing.code.source import remember

STDIN = "<stdin>"


def place_of(script: str, *, module: bool) -> str | None:
    """Where the user's code is, wherever that may be: a file, or the folder of a package."""
    if not module:
        return STDIN if script == "-" else _path(script)
    top = script.partition(".")[0]
    found = importlib.util.find_spec(top) if top else None
    if found is None:
        return None
    places = found.submodule_search_locations
    return next(iter(places), None) if places else found.origin


def begin_path() -> None:
    """As `python -m` does: the folder here comes first; the installed command has its own there."""
    own = os.path.dirname(os.path.realpath(sys.argv[0]))
    first = os.path.realpath(sys.path[0]) if sys.path and sys.path[0] else ""
    if own in (first, os.path.dirname(first)):  # Windows puts the file itself there
        _set_path(os.getcwd())


def is_runnable(script: str) -> bool:
    """Whether there is a file, a folder or a pipe of that name."""
    try:
        kind = os.stat(script).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)


def is_pipe(script: str) -> bool:
    """Whether a script can be read only once: a pipe, as of a shell's `<(...)`."""
    return not (os.path.isfile(script) or os.path.isdir(script))


def _path(script: str) -> str:
    return os.path.join(os.getcwd(), script)


def run(script: str, arguments: Sequence[str], *, module: bool) -> None:
    """Run it as `__main__`, in a fresh module of that name."""
    main = _fresh_main()
    if module:
        sys.argv = ["-m", *arguments]
        runpy._run_module_as_main(script)  # type: ignore[attr-defined]  # what -m does
        return
    sys.argv = [script, *arguments]
    if is_notebook(script):
        run_cells(_path(script), main)
        return
    path = STDIN if script == "-" else _path(script)
    if script != "-" and pkgutil.get_importer(script) is not None:  # a folder or zip
        sys.path.insert(0, path) if _is_safe() else _set_path(path)
        runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]
        return
    if script == "-":
        raw = sys.stdin.buffer.read()
        _set_path("")
    else:
        raw = Path(path).read_bytes()
        _set_path(os.path.dirname(path if is_pipe(path) else os.path.realpath(path)))
    code = pkgutil.read_code(io.BytesIO(raw))
    main.__file__ = path
    main.__dict__["__cached__"] = None
    if script != "-":
        kind = SourceFileLoader if code is None else SourcelessFileLoader
        main.__loader__ = kind("__main__", path)
    else:
        main.__loader__ = BuiltinImporter
    exec(_compiled(raw, path) if code is None else code, main.__dict__)


def _fresh_main() -> types.ModuleType:
    """A module as Python makes it for a script."""
    had = vars(sys.modules["__main__"])
    main = types.ModuleType("__main__")
    if "__annotations__" in had:
        main.__annotations__ = {}
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    return main


def _is_safe() -> bool:
    """Whether Python was told to leave the script's folder out of its path (-P)."""
    return bool(getattr(sys.flags, "safe_path", False))


def _set_path(first: str) -> None:
    if not _is_safe():
        sys.path[0] = first


def _compiled(raw: bytes, name: str) -> Any:
    code = compile(raw, name, "exec", dont_inherit=True)
    if name == STDIN or is_pipe(name):
        remember(name, importlib.util.decode_source(raw))
    return code
