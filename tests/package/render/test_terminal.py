"""What a terminal shows: its width, its colours, and the same words as a file gets."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest
import torch

from companion import trace
from companion.render.columns import columns
from companion.render.terminal import columns_of, wants_colour
from tests.package.command.running import BROKEN
from tests.package.running import ENVIRONMENT, forks, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
QUIET = "import warnings\nwarnings.simplefilter('ignore')\n"
CODE = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def terminal(width: int) -> Iterator[tuple[int, TextIO]]:
    """Its other side, where what is shown can be read, and the stream of a program."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with open(theirs, "w", encoding="utf-8") as stream:
        yield ours, stream
    os.close(ours)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR":
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "in_terminal", "in_file"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
def test_who_wants_colours(
    variables: dict[str, str], in_terminal: bool, in_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with terminal(80) as (_, stream):
        assert wants_colour(stream) is in_terminal
    assert not wants_colour(None)
    assert not wants_colour(io.StringIO())  # a notebook's own stream shows what it likes
    with open(os.devnull, "w") as file:
        assert wants_colour(file) is in_file
    assert wants_colour(file) is in_file  # closed


def test_how_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(57) as (_, stream), open(os.devnull, "w") as file:
        assert [columns_of(one) for one in (stream, file, None, io.StringIO())] == [57] + 3 * [None]
        for said, expected in (("33", 33), ("", 57), ("0", 57), ("wide", 57)):
            monkeypatch.setenv("COLUMNS", said)
            assert columns_of(stream) == expected
        monkeypatch.setenv("COLUMNS", "33")
        assert [columns_of(one) for one in (file, None, io.StringIO())] == [33, None, None]
        monkeypatch.setenv("LINES", "24")  # as readline exports them, of another terminal or none
        assert [columns_of(one) for one in (stream, file)] == [57, None]
    with terminal(0) as (_, stream):  # it does not say
        assert columns_of(stream) is None
    assert columns_of(stream) is None  # closed


def test_what_is_printed_fits_and_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text may go anywhere: `print` folds it, and paints nothing."""
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        for _ in range(3):
            net(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    wide = str(routine)
    with terminal(40) as (_, stream), monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        narrow, found = str(routine), "".join(map(str, routine.diagnose()))
    assert "gradients: 2 None" in narrow
    assert "gradients: 2 None" not in wide
    assert "accumulates" in found
    for line in f"{narrow}\n{found}".splitlines():
        assert columns(line) <= 40 or len(line.split()) == 1, line
        assert "\x1b" not in line
    assert str(routine) == wide


def test_the_report_in_a_terminal_says_what_a_file_gets(tmp_path: Path) -> None:
    write(tmp_path, QUIET + BROKEN["scheduler-first"]["script.py"])
    with terminal(60) as (ours, stream):
        command = [sys.executable, "-m", "companion", "script.py"]
        script = subprocess.Popen(
            command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=stream
        )
        stream.close()
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # how Linux says that the other side is gone
            pass
        assert script.wait(60) == 3
    shown = seen.decode().replace("\r\n", "\n")
    assert "\x1b[1;31mscheduler-first\x1b[0m, line " in shown
    assert "\x1b[36mgradients: " in shown

    def ran(**variables: str) -> str:
        return forks().run(tmp_path, "script.py", how="command", variables=variables).err

    assert CODE.sub("", shown) == ran(COLUMNS="60")
    painted, wide = ran(FORCE_COLOR="1"), ran()
    assert CODE.search(painted)
    assert CODE.sub("", painted) == wide
    assert "gradients: " not in wide
