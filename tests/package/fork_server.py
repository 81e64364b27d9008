"""A program that has imported torch and the package, and runs each script in a fork of itself.

These imports take longer than most scripts. It is asked on stdin, in a line of JSON, and answers
with the exit code when the fork has ended; what the fork wrote is in the files stdout and stderr.
What it was told to import is all that a fork finds imported: the modules named as its arguments.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys
from importlib import import_module
from typing import Any

LONGEST = 300  # seconds; then a fork is killed


def run(how: str, arguments: list[str]) -> None:
    """As `python script`, `python -m module`, `python -c code`, or the package's own command."""
    if how == "command":
        from companion.__main__ import main

        return main(arguments)
    first, *others = arguments
    if how == "script":
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(first))
        runpy.run_path(first, run_name="__main__")
    elif how == "module":
        sys.argv = [first, *others]
        runpy.run_module(first, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *others]
        exec(compile(first, "<string>", "exec"), {"__name__": "__main__"})
    return None


def redirect(told: str, *, closed: bool = False) -> None:
    """The fork's own input and output; stdout a pipe that nobody reads, if it is closed."""
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(os.path.join(told, "stdout"), write), 1)
    os.dup2(os.open(os.path.join(told, "stderr"), write), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if closed:
        out, into = os.pipe()
        os.close(out)
        os.dup2(into, 1)


def next_script() -> dict[str, Any]:
    """What this process, a fork by then, is to run."""
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if not child:
            return asked
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


def main() -> None:
    """Answer until nobody asks any more."""
    del sys.path[0]  # this file's folder, where rooms of tests bear common names
    for name in sys.argv[1:]:
        import_module(name)
    gc.collect()
    gc.freeze()  # or each fork would look through all that torch has made
    asked = next_script()
    os.environ.update(asked["variables"])
    signal.alarm(LONGEST)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["folder"])
    redirect(asked["told"], closed=asked["closed"])
    sys.path.insert(0, asked["folder"])
    code = 0
    try:
        run(asked["how"], asked["arguments"])
    except SystemExit as error:
        if asked["whole"] or not (error.code is None or isinstance(error.code, int)):
            raise
        code = error.code or 0
    sys.stdout.flush()
    os._exit(code)  # torch takes a second to end as it should


if __name__ == "__main__":
    main()
