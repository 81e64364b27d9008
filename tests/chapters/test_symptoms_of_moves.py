"""Cases of the page of symptoms about lines that change more than they say."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tests.chapters.glossary import equal, values
from tests.chapters.symptoms import names, run


def test_a_frozen_layer_answers_otherwise_and_no_parameter_of_it_moves(tmp_path: Path) -> None:
    words = "**No parameter of it moves, and a frozen layer answers otherwise.**"
    seen = run(words, tmp_path)
    forwards = [record for record in seen.routine.records if record.changed_buffers]
    assert [record.source for record in forwards] == ["loss = criterion(net(inputs), labels)"] * 6
    assert {name.split(".")[0] for r in seen.routine.records for name in r.changed_parameters} == {
        "1"
    }
    body, inputs = seen.names["body"], torch.randn(8, 4)
    before = body[1].running_mean.clone()
    seen.names["net"].train()
    body.eval()
    body(inputs)
    assert torch.equal(before, body[1].running_mean)


def test_closures_that_lack_a_line(tmp_path: Path) -> None:
    for words, calls, explodes in (
        ("**The gradients pile up:** the closure", 20, True),
        ("**It stops after two calls:**", 2, False),
    ):
        seen = run(words, tmp_path)
        inputs, labels = names()["batches"][0]
        first = nn.functional.cross_entropy(names()["net"](inputs), labels)
        last = nn.functional.cross_entropy(seen.names["net"](inputs), labels)
        state = seen.names["optimizer"].state[seen.names["net"][0].weight]
        assert state["func_evals"] == calls
        assert bool(last > 10 * first) is explodes
        assert explodes or last > 0.8 * first


def test_what_is_clipped_after_a_step_in_backward(tmp_path: Path) -> None:
    seen = run("Or the step is made by a hook, inside `backward`.", tmp_path)
    assert seen.names["norm"] == 0
    assert not equal(values(seen.names["net"]), values(names()["net"]))
    assert not seen.said
