"""A process that has imported torch: programs that tests start again and again are forks of it.

That import takes three seconds of a processor, in each program and for each worker. The process
listens at a path; the other side is `programs`. Who connects says in a line of JSON what is to run,
in the words that follow `python`; the connection is stdin and stdout of that program. The process
ends when the last program has.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from contextlib import suppress
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from types import CodeType
from typing import Any

FIRST = 60  # seconds for which it waits for anybody


def connected(listening: socket.socket) -> socket.socket:
    """Whoever has connected to this process, a fork by then."""
    running: set[int] = set()
    while select.select([listening], [], [], 1 if running else FIRST)[0] or running:
        with suppress(BlockingIOError):
            connection, _ = listening.accept()
            child = os.fork()
            if not child:
                return connection
            connection.close()
            running.add(child)
        while running and (ended := os.waitpid(-1, os.WNOHANG)[0]):
            running.remove(ended)
        if not running:
            break
    sys.exit()


def become(asked: dict[str, Any], connection: socket.socket) -> None:
    """What the asked program begins with."""
    os.environ.clear()
    os.environ.update(asked["variables"])
    os.chdir(asked["folder"])
    for stream in range(2):
        os.dup2(connection.fileno(), stream)
    if asked["errors"]:
        errors = os.open(asked["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(errors, 2)
        os.close(errors)
    del sys.modules["__mp_main__"]  # which multiprocessing takes this file for


def program(words: list[str]) -> CodeType:
    """What Python runs that is called with these words: a path, or -m and a module."""
    first, *others = words
    if first != "-m":
        sys.path[0], sys.argv = os.path.dirname(first), words
        with open(first, "rb") as file:
            return compile(file.read(), first, "exec", dont_inherit=True)
    sys.path[0], sys.argv = os.getcwd(), others
    spec = find_spec(others[0])
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    code = spec.loader.get_code(spec.name)
    assert code is not None
    return code


def main() -> CodeType:
    """Listen, import, and in each fork be the program that is asked for."""
    path, *names = sys.argv[1:]
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(path)
    except OSError:
        sys.exit()  # another worker's was quicker
    listening.listen()
    listening.setblocking(False)
    own = os.getpid()
    try:
        for name in names:
            import_module(name)
        connection = connected(listening)
    finally:
        if os.getpid() == own:
            os.unlink(path)
    listening.close()
    with connection, connection.makefile() as said:
        asked = json.loads(said.readline())
        become(asked, connection)
    print("begun", flush=True)
    return program(asked["arguments"])


if __name__ == "__main__":
    exec(main())  # here, not in a function: what it leaves behind is found until the very end
