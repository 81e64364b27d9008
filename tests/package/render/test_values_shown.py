"""What lines bound, and the buffers that they moved, in each view."""

from __future__ import annotations

import json
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from companion import Trace, trace
from companion.records.line import LineRecord, State
from companion.records.value import Value
from companion.render.losses import losses
from companion.render.narrow import folded
from companion.render.text import text
from companion.render.values import beside
from companion.render.written import written

mpl.use("Agg")

PARAMETERS = {f"{layer}.{kind}": True for layer in ("a", "b", "c") for kind in ("weight", "bias")}


def line(*values: Value, buffers: tuple[str, ...] = (), others: tuple[str, ...] = ()) -> LineRecord:
    """A record of one and the same line."""
    state = State({}, {}, PARAMETERS)
    return LineRecord(
        0, "a.py", 1, "x = f()", 0, state, state, (), (), values=values,
        changed_buffers=buffers, changed_others=others,
    )  # fmt: skip


def scalar(number: float, *unreached: str) -> Value:
    return Value("loss", "float32", (), number, int(not math.isfinite(number)), True, unreached)


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([line(scalar(2.31))], "loss 2.31, reaches 6 of 6 parameters"),
        (
            [line(scalar(2.31)), line(scalar(2.18)), line(scalar(2.25))],
            "loss 2.31 → 2.18 → 2.25, reaches 6 of 6 parameters",
        ),
        (
            [line(scalar(float(i))) for i in range(6)],
            "loss 0 → 1 → … → 5, reaches 6 of 6 parameters",
        ),
        (
            [line(scalar(1.0, "c.weight", "c.bias"))],
            "loss 1, reaches 4 of 6 parameters, not c",
        ),
        (
            [line(scalar(1.0, "a.bias", "c.weight", "c.bias"))],
            "loss 1, reaches 3 of 6 parameters, not a.bias, c",
        ),
        ([line(scalar(1.0, *PARAMETERS))], "loss 1, reaches 0 of 6 parameters"),
        (
            [line(scalar(1.0)), line(Value("loss", "float32", (), 2.0, 0))],
            "loss 1 → 2, with a graph in 1 of 2 runs, reaches 6 of 6 parameters",
        ),
        ([line(Value("loss", "float32", (), math.nan, 1))], "loss nan"),
        ([line(Value("x", "float32", (8, 3), None, 2))], "x float32 [8, 3], 2 not finite"),
        (
            [line(Value("x", "int64", (8,), None, 0)), line(Value("x", "int64", (5,), None, 0))],
            "x int64 [8] → int64 [5]",
        ),
        ([line(Value("right", "int", number=1234567.0))], "right 1234567"),
        ([line(Value("x", "float32"))], "x float32"),
        (
            [line(*(Value(name, "int", number=1.0) for name in "abcde"))],
            "a 1; b 1; c 1; and 2 more",
        ),
        ([line(buffers=("bn.running_mean", "b2.running_mean"))], "buffers: 2 running_mean"),
        ([line(buffers=("a", "b", "c", "d"))], "buffers: 4 changed"),
        ([line(others=("ema.a", "ema.b", "teacher.a"))], "ema: 2 changed; teacher: 1 changed"),
        ([line()], ""),
    ],
)  # fmt: skip
def test_in_words(runs: list[LineRecord], words: str) -> None:
    assert beside(runs) == words


def norm_and_loss() -> Trace:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    inputs = torch.randn(4, 2)
    with trace(net, optimizer) as routine:
        for _ in range(5):
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = outputs.square().mean()
            loss.backward()
            optimizer.step()
    return routine


def test_a_line_that_leaves_both_alone_says_across_both_columns_what_it_bound() -> None:
    routine = norm_and_loss()
    lines = text(routine.records, network="Net", as_written=True).splitlines()
    (forward,) = (row for row in lines if "outputs = net(inputs)" in row)
    column = lines[1].index("gradients")
    assert forward[column:] == (
        "outputs float32 [4, 3], reaches 4 of 4 parameters; "
        "buffers: 1 running_mean, 1 running_var, 1 num_batches_tracked"
    )
    (loss,) = (row for row in lines if "loss = " in row)
    assert loss[column:].startswith("loss ")
    assert loss.count("→") == 3
    narrow = folded("\n".join(lines), 70).splitlines()
    below = narrow[next(i for i, row in enumerate(narrow) if "outputs = net" in row) + 1]
    assert below.strip().startswith("outputs float32 [4, 3], reaches 4 of 4")
    assert "gradients:" not in below


def test_a_run_that_raised_stands_apart() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = [torch.ones(4, 2), torch.ones(4, 2), torch.ones(4, 3)]

    @trace(net, optimizer)
    def train() -> None:
        for x in batches:
            optimizer.zero_grad()
            loss = net(x).sum()
            loss.backward()
            optimizer.step()

    with pytest.raises(RuntimeError):
        train()
    routine = train.routine
    rows = text(routine.records, network="Net", as_written=True).splitlines()
    places = [i for i, row in enumerate(rows) if "loss = net(x).sum()" in row]
    assert [rows[i].split()[0] for i in places] == ["2x", "1x"]
    assert "loss " in rows[places[0]].split(".sum()")[1]
    assert rows[places[1]].rstrip().endswith("loss = net(x).sum()")
    assert rows[places[1] + 1].strip().startswith("raised RuntimeError")


def test_the_player_has_them() -> None:
    html = norm_and_loss().play().html
    assert "changes neither gradients nor parameters; outputs float32 [4, 3], reaches 4 of" in html
    assert "buffers: 1 running_mean" in html
    assert "changes nothing" not in html


def test_rows_have_buffers() -> None:
    rows = [row for row in norm_and_loss().to_rows() if row["kind"] == "buffer"]
    moved = [row for row in rows if row["parameter_changed"]]
    assert {row["parameter"] for row in moved} == {
        "1.running_mean", "1.running_var", "1.num_batches_tracked",
    }  # fmt: skip
    assert {row["source"] for row in moved} == {"outputs = net(inputs)"}
    counts = [r["parameter_sum"] for r in moved if r["parameter"].endswith("tracked")]
    assert counts == [1, 2, 3, 4, 5]


def test_the_losses_stand_above_the_diagrams() -> None:
    routine = norm_and_loss()
    numbers = [v.number for r in routine.records for v in r.values if v.name == "loss"]
    assert losses(routine.records) == {"loss": numbers}
    figure = routine.plot(layers=["1"])
    above = figure.axes[-1]
    assert [one.get_text() for one in above.texts] == [
        "loss", f"{numbers[0]:.4g}", f"{numbers[-1]:.4g}",
    ]  # fmt: skip
    (curve,) = above.lines
    heights = np.asarray(curve.get_ydata()).tolist()
    order = sorted(range(5), key=lambda i: -(numbers[i] or 0))
    assert sorted(range(5), key=heights.__getitem__) == order
    plt.close("all")


def accumulated(batches: int) -> Trace:
    """A step, and the schedule's, come with every second batch; the last batch brings neither."""
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.16)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    with trace(net, optimizer) as routine:
        for number, inputs in enumerate(torch.ones(batches, 1, 2)):
            net.train(number % 2 > 0)
            (net(inputs).sum() / 2).backward()
            if number % 2:
                optimizer.step()
                optimizer.zero_grad()
            scheduler.step() if number % 2 else None
    return routine


def test_rates_and_modes_that_some_runs_of_a_line_change() -> None:
    """In each view: the rate moves in every second run, and not in the last one."""
    routine = accumulated(19)
    rates = "lr 0.16 → … → 0.0003125"
    (row,) = (one for one in str(routine).splitlines() if "scheduler.step()" in one)
    assert row.endswith(f"  {rates}")
    (row,) = (one for one in str(routine).splitlines() if "enumerate" in one)
    assert row.endswith("  inputs float32 [1, 2]")  # a loop's end binds nothing
    told = {one["source"]: one for one in json.loads(json.dumps(written(routine.records)))}
    assert told["scheduler.step() if number % 2 else None"]["also"] == [rates]
    assert told["net.train(number % 2 > 0)"]["also"] == ["1 modules → eval"]
    assert told["optimizer.step()"]["also"] == []
    short = accumulated(4)
    for moved in "lr 0.16 → 0.08", "lr 0.08 → 0.04":
        assert str(short).count(moved) == short.play().html.count(moved) == 1


def test_a_json_of_the_lines(tmp_path: Path) -> None:
    routine = norm_and_loss()
    told = {one["source"]: one for one in json.loads(json.dumps(written(routine.records)))}
    forward = told["outputs = net(inputs)"]
    assert forward["runs"] == 5
    assert forward["values"] == {"outputs": 5 * [[4, 3]]}
    assert len(forward["changed_buffers"]) == 3
    assert len(told["loss = outputs.square().mean()"]["values"]["loss"]) == 5
    assert told["loss.backward()"]["changed_gradients"] == [
        "0.weight", "0.bias", "1.weight", "1.bias",
    ]  # fmt: skip
    assert written([line(Value("x", "float", number=math.inf))])[0]["values"] == {"x": ["inf"]}


def test_saved_and_loaded(tmp_path: Path) -> None:
    routine = norm_and_loss()
    routine.save(tmp_path / "a.json")
    assert Trace.load(tmp_path / "a.json").records == routine.records
    whole = json.loads((tmp_path / "a.json").read_text())
    for state in whole["states"]:
        del state["buffers"], state["others"]
    for record in whole["records"]:
        for new in "values", "changed_buffers", "changed_others", "again":
            del record[new]
    (tmp_path / "old.json").write_text(json.dumps(whole))  # as it was before there were any
    old = Trace.load(tmp_path / "old.json").records
    assert [r.changed_parameters for r in old] == [r.changed_parameters for r in routine.records]
    assert not any(r.values or r.changed_buffers or r.after.buffers for r in old)
