"""A printed trace where there is little room: what a line did stands below it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from companion import Trace, trace
from companion.render.narrow import fitting, folded
from tests.package.running import ENVIRONMENT

WIDE = """\
Trace of Net, 2 parameters, train.py
line  code                         gradients                   parameters
   3  loss = some_function_of(x)
   4  loss.backward()              2 None → value, norm 0.532
      ^ accumulates
   5  optimizer.step()                                         2 changed, norm 8.86
   6  scheduler.step()                                                               lr 0.1 → 0.01
   7  call(with_a_very_long_name_of_a_variable_that_pushes)  2 changed, norm 1  2 changed, norm 2
   8  raise ValueError("so many words that they do not fit")
      raised ValueError: so many words that they do not fit

accumulates, line 4: loss.backward()
    backward() added to gradients that were used already
    cure: optimizer.zero_grad()  # once for every step, before backward()
    explained in: chapter.html"""

NARROW = """\
Trace of Net, 2 parameters, train.py
line  code
   3  loss = some_function_of(x)
   4  loss.backward()
        gradients: 2 None → value,
        norm 0.532
      ^ accumulates
   5  optimizer.step()
        parameters: 2 changed, norm
        8.86
   6  scheduler.step()
        lr 0.1 → 0.01
   7  call(with_a_very_long_name_of_a_variable_that_pushes)  2 changed, norm 1  2 changed, norm 2
   8  raise ValueError("so many words that they do not fit")
      raised ValueError: so many
      words that they do not fit

accumulates, line 4: loss.backward()
    backward() added to gradients
    that were used already
    cure: optimizer.zero_grad()  # once for every step, before backward()
    explained in: chapter.html"""


def test_findings_alone_are_folded_too() -> None:
    for first in ("accumulates, line 4: ", "possible: eval-mode, line 12, 3 times: "):
        wide, narrow = (
            text.partition("\n\n")[2].replace("accumulates, line 4: ", first)
            for text in (WIDE, NARROW)
        )
        assert folded(wide, 36).splitlines()[-4:] == narrow.splitlines()[-4:]
    assert folded("accuracy, line 4 of a log that is wide", 20) == (
        "accuracy, line 4 of a log that is wide"
    )


def test_what_a_line_did_stands_below_it() -> None:
    assert folded(WIDE, 36) == NARROW


@pytest.mark.parametrize("text", ["", "Trace of Net: no line ran", "line  code\n", "loss 2.3\n"])
def test_what_is_no_table_stays(text: str) -> None:
    assert folded(text, 5) == text


def test_a_real_one_loses_no_word() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, optimizer) as routine:
        for _ in range(3):
            net(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    wide = str(routine)
    assert "accumulates" in wide
    narrow = folded(wide, 40)
    for what in "gradients: ", "parameters: ":
        narrow = narrow.replace(what, "")
    head = wide.splitlines()[1]
    assert sorted(narrow.split()) == sorted(wide.replace(head, "line code").split())


def test_a_notebook_and_nothing_at_all_have_no_width() -> None:
    assert fitting(WIDE, None) == WIDE
    with open(os.devnull, "w") as file:
        assert fitting(WIDE, file) == WIDE
    assert fitting(WIDE, file) == WIDE  # closed


SCRIPT = """\
import contextlib, sys, torch
from companion import trace
net = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
with trace(net, optimizer) if "print" in sys.argv else contextlib.nullcontext() as routine:
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.ones(1, 2)).sum().backward()
        optimizer.step()
if routine is not None:
    print(routine)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("columns", [40, 200])
def test_in_a_terminal(columns: int, tmp_path: Path) -> None:
    """Printed by a script, and the report of the command, which goes to stderr."""
    import fcntl
    import pty
    import struct
    import termios

    (tmp_path / "script.py").write_text(SCRIPT)
    for command in ["script.py", "print"], ["-m", "companion", "script.py"]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        script = subprocess.Popen(
            [sys.executable, *command], cwd=tmp_path, env=ENVIRONMENT, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # how Linux says that the other side is gone
            pass
        os.close(ours)
        assert script.wait(60) == 0
        assert "norm" in seen.decode()
        assert ("gradients: 2 None" in seen.decode()) == (columns == 40), seen.decode()


def test_a_trace_that_fits_is_not_folded() -> None:
    assert str(Trace("Net")) == folded(str(Trace("Net")), 5)
