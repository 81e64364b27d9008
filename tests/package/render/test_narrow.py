"""A printed trace where there is little room: what a line did stands below it."""

from __future__ import annotations

import contextlib
import functools
import re

import pytest
import torch
from torch import nn

from companion import Trace, trace
from companion.render.columns import columns
from companion.render.narrow import folded
from companion.render.text import text

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
    explained by: companion explain accumulates"""

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
   8  raise ValueError("so many
          words that they do not
          fit")
      raised ValueError: so many
      words that they do not fit

accumulates, line 4: loss.backward()
    backward() added to gradients
    that were used already
    cure: optimizer.zero_grad()  # once for every step, before backward()
    explained by: companion explain accumulates"""


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


def test_what_the_command_says_before_it() -> None:
    said = "epoch 0: a line of the script's\n\ncompanion: watched 3 steps, 1 finding\n"
    narrow = "epoch 0: a line of the script's\n\ncompanion: watched 3 steps, 1\nfinding\n"
    assert folded(said + WIDE, 36) == narrow + NARROW
    assert folded("companion: no step was seen: nothing called it", 36) == (
        "companion: no step was seen: nothing\ncalled it"
    )


@pytest.mark.parametrize("text", ["", "Trace of Net: no line ran", "line  code\n", "loss 2.3\n"])
def test_what_is_no_table_stays(text: str) -> None:
    assert folded(text, 5) == text


@functools.cache
def broken(steps: int) -> Trace:
    """Accumulates; one line is long, others have wide characters, one raises."""
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    inputs = torch.ones(4, 2)
    with contextlib.suppress(ZeroDivisionError), trace(net, optimizer) as routine:
        for _ in range(steps):
            loss = net(inputs).sum()  # 학습 손실, 두 칸씩 차지한다
            loss.backward()  # 逆伝播
            optimizer.step()
            scheduler.step()
            held = {name: parameter.grad for name, parameter in net.named_parameters() if len(name)}
        _ = 1 / (
            len(held) - 6  # what was found
        )
    return routine


def words(text: str) -> list[str]:
    """All that is said, without what the two forms say in their own way."""
    return sorted(re.sub("(gradients|parameters)(:|  +parameters\n)", "", text).split())


@pytest.mark.parametrize("steps", [3, 20], ids=["as they ran", "as written"])
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_nothing_is_wider_than_the_terminal_and_no_word_is_lost(width: int, steps: int) -> None:
    routine = broken(steps)
    given = routine.records, routine.network, routine.diagnose()
    wide, narrow = (
        text(given[0], network=given[1], findings=given[2], width=one) for one in (None, width)
    )
    assert "accumulates" in wide
    assert max(map(columns, wide.splitlines())) > 100
    for line in narrow.splitlines():
        assert columns(line) <= width or len(line.split()) <= 3, line
    assert words(narrow) == words(wide)


def test_columns_stand_below_each_other_beside_wide_characters() -> None:
    lines = str(broken(2)).splitlines()
    (backward,) = (line for line in lines[:6] if "loss.backward" in line)
    at = columns(backward.partition("6 None → value")[0])
    assert at == lines[1].index("gradients")


def test_where_there_is_room_nothing_is_folded() -> None:
    routine = broken(2)
    whole = text(routine.records, network=routine.network)
    assert text(routine.records, network=routine.network, width=1000) == whole


def test_a_trace_that_fits_is_not_folded() -> None:
    assert str(Trace("Net")) == folded(str(Trace("Net")), 5)
