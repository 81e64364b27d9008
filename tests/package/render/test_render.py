"""Views of a trace: text, rows, figure. They show what the records hold, and nothing else."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from companion import Net, Trace, course_style, trace
from companion.course.style import PALETTE

mpl.use("Agg")


@pytest.fixture(autouse=True)
def figures_are_closed() -> Iterator[None]:
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def routine() -> Trace:
    """A step of a network whose numbers are easy: all weights 1, all inputs 1."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    inputs = torch.ones(1, 2)
    for p in net.parameters():
        nn.init.ones_(p)
        p.grad = torch.zeros_like(p)
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        loss = net(
            inputs,
        ).sum()
        loss.backward()
        optimizer.step()
    return routine


def test_text(routine: Trace) -> None:
    first = routine.records[0].line
    assert str(routine) == (
        "Trace of Sequential, 4 parameters, test_render.py\n"
        "line  code                   gradients               parameters\n"
        f"{first:4}  optimizer.zero_grad()  4 value → None\n"
        f"{first + 1:4}  loss = net(            loss 7, reaches 4 of 4 parameters\n"
        "          inputs,\n"
        "      ).sum()\n"
        f"{first + 4:4}  loss.backward()        4 None → value, norm 5\n"
        f"{first + 5:4}  optimizer.step()                               4 changed, norm 1.5"
    )
    # By hand: the first layer's gradient is six times 1, the second's 3, 3 and 1; half of each
    # leaves six times 0.5, twice -0.5 and 0.5.
    assert (6 * 1 + 9 + 9 + 1, 9 * 0.25) == (5**2, 1.5**2)


def test_empty_trace() -> None:
    assert str(Trace("Net")) == "Trace of Net: no line ran"
    assert Trace("Net").to_rows() == []
    with pytest.raises(ValueError, match="holds no line yet; plot it after the block"):
        Trace("Net").plot()


def test_text_counts_a_mixture() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters())
    net.weight.grad = torch.ones(1, 2)
    with trace(net, optimizer) as routine:
        net(torch.ones(1, 2)).sum().backward()
    assert "1 changed, 1 None → value, norm 3" in str(routine)


def test_text_indents_a_loop() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters())
    with trace(net, optimizer) as routine:
        for _ in range(1):
            if True:
                optimizer.zero_grad()
    lines = [line[6:] for line in str(routine).splitlines()[2:]]
    assert lines == [
        "for _ in range(1):",
        "    if True:",
        "        optimizer.zero_grad()  2 None already",
        "for _ in range(1):",
    ]


def two_steps(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 2) -> Trace:
    def half(x: torch.Tensor) -> None:
        loss = net(x).square().mean()
        if loss.item() >= 0:
            loss.backward()

    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    with trace(net, optimizer, into=[half]) as routine:
        for _ in range(steps):
            half(torch.ones(2, 2))
            optimizer.step()
            scheduler.step()
    return routine


def test_text_of_a_followed_function_stands_further_in_and_findings_follow() -> None:
    net = nn.Linear(2, 1)
    routine = two_steps(net, torch.optim.SGD(net.parameters(), lr=0.1))
    table, finding = str(routine).split("\n\n")
    width = max(len(line) for line in table.splitlines())
    code = [line.ljust(width)[6:43].rstrip() for line in table.splitlines()[2:9]]
    assert code == [
        "for _ in range(steps):",
        "    half(torch.ones(2, 2))",
        "        loss = net(x).square().mean()",
        "        if loss.item() >= 0:",
        "            loss.backward()",
        "    optimizer.step()",
        "    scheduler.step()",
    ]
    assert [line for line in table.splitlines() if "lr 0.1 → 0.05" in line]
    lines = table.splitlines()
    (marked,) = [i for i, line in enumerate(lines) if "^ " in line]
    assert lines[marked] == " " * 18 + "^ accumulates"
    assert lines[marked - 1].index("loss.backward()") == 18
    (found,) = routine.diagnose()
    assert finding == str(found)
    assert finding.startswith(f"accumulates, line {found.line}: loss.backward()\n    backward() ")


def test_a_long_trace_is_shown_as_written() -> None:
    net = nn.Linear(2, 1)
    routine = two_steps(net, torch.optim.SGD(net.parameters(), lr=0.1), steps=12)
    lines = str(routine).split("\n\n")[0].splitlines()
    count = len(routine.records)
    assert lines[0].endswith(f"test_render.py, {count} lines run in 12 steps")
    assert lines[1].split() == ["runs", "line", "code", "gradients", "parameters"]
    runs = {" ".join(line.split()[2:4]): line.split()[0] for line in lines[2:]}
    assert runs["for _"] == "13x"
    assert runs["loss.backward() 2"] == "12x"
    half = "half" if sys.version_info < (3, 11) else "two_steps.<locals>.half"
    assert [line.strip() for line in lines if "#" in line] == [
        "# two_steps, test_render.py",
        f"# {half}, test_render.py",
    ]


def test_text_says_what_else_a_line_changed() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.Dropout())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        net.eval()
        net[0].requires_grad_(False)
        optimizer.param_groups[0]["lr"] = 0.25
    assert [line.split("  ")[-1].strip() for line in str(routine).splitlines()[2:]] == [
        "3 modules → eval",
        "2 requires_grad → False",
        "lr 0.1 → 0.25",
    ]


def test_rows(routine: Trace) -> None:
    rows = routine.to_rows()
    assert len(rows) == 4 * 4 + 1
    backward = next(r for r in rows if r["source"] == "loss.backward()")
    assert backward == {
        "index": 2,
        "step": 0,
        "file": __file__,
        "line": routine.records[2].line,
        "function": "routine",
        "depth": 0,
        "source": "loss.backward()",
        "raised": None,
        "phase": "",
        "events": "backward",
        "kind": "parameter",
        "parameter": "0.weight",
        "layer": "0",
        "requires_grad": True,
        "gradient_changed": True,
        "gradient_sum": 4.0,
        "gradient_norm": 2.0,
        "gradient_nonfinite": 0,
        "parameter_changed": False,
        "parameter_sum": 4.0,
        "parameter_norm": 2.0,
        "parameter_nonfinite": 0,
        "value": None,
        "value_dtype": None,
        "value_shape": None,
        "value_nonfinite": None,
        "reached": None,
    }
    assert rows[0]["gradient_changed"] is True
    assert rows[0]["gradient_sum"] is None
    (loss,) = (row for row in rows if row["kind"] == "value")
    assert {name: loss[name] for name in [*loss][10:14]} == {
        "kind": "value",
        "parameter": "loss",
        "layer": "",
        "requires_grad": True,
    }
    assert [*loss.values()][-5:] == [7.0, "float32", "[]", 0, 4]


def test_rows_into_csv(routine: Trace) -> None:
    rows = routine.to_rows()
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    back = list(csv.DictReader(io.StringIO(file.getvalue())))
    written = ["" if row["parameter_sum"] is None else str(row["parameter_sum"]) for row in rows]
    assert [row["parameter_sum"] for row in back] == written


def table(figure: Figure, panel: int = 0) -> list[list[str]]:
    """The texts of one diagram, row by row as they are seen."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for text in figure.axes[panel].texts:
        x, y = text.get_position()
        rows.setdefault(y, []).append((x, text.get_text()))
    return [[text for _, text in sorted(rows[y])] for y in sorted(rows)]


def boxes(figure: Figure, panel: int = 0) -> set[tuple[int, int]]:
    """Row and column of every framed cell: which of the texts stands in it."""
    rows: dict[int, list[float]] = {}
    for text in figure.axes[panel].texts:
        rows.setdefault(int(text.get_position()[1]), []).append(text.get_position()[0])
    return {
        (row, sum(x < p.get_x() for x in rows[row]) - 1)
        for p in figure.axes[panel].patches
        if isinstance(p, Rectangle)
        for row in [int(p.get_y())]
    }


def test_both_diagrams(routine: Trace) -> None:
    figure = routine.plot()
    lower, upper, above = figure.axes
    assert above.get_position().y0 > upper.get_position().y0 > lower.get_position().y0
    assert table(figure, 2) == [["loss", "7"]]
    assert table(figure, 1) == [
        ["p.grad.sum()", "0", "1"],
        ["(on entering)", "0", "0"],
        ["optimizer.zero_grad()", "None", "None"],
        ["loss = net( …", "None", "None"],
        ["loss.backward()", "6.000", "7.000"],
        ["optimizer.step()", "6.000", "7.000"],
    ]
    assert table(figure, 0) == [
        ["p.sum()", "0", "1"],
        *[
            [code, "6.000", "3.000"]
            for code in ("(on entering)", "optimizer.zero_grad()", "loss = net( …")
        ],
        ["loss.backward()", "6.000", "3.000"],
        ["optimizer.step()", "3.000", "-0.5000"],
    ]
    assert boxes(figure, 1) == {(row, column) for row in (1, 3) for column in (0, 1)}
    assert boxes(figure, 0) == {(4, 0), (4, 1)}


def test_one_diagram_of_norms_of_some_layers(routine: Trace) -> None:
    figure = routine.plot("gradients", value="norm", layers=["1"])
    assert len(figure.axes) == 2
    assert table(figure)[0] == ["p.grad.norm()", "1"]
    assert table(figure)[-1] == ["optimizer.step()", "4.359"]


def test_cancelling_entries_are_marked() -> None:
    net = nn.Linear(1, 2, bias=False)
    optimizer = torch.optim.SGD(net.parameters())
    net.weight.grad = torch.tensor([[1.0], [-1.0]])
    with trace(net, optimizer) as routine:
        net.weight.grad.zero_()
    assert [row[1] for row in table(routine.plot("gradients"))] == ["(net)", "≈ 0", "0"]


def test_an_infinite_gradient_is_not_about_zero() -> None:
    net = nn.Linear(1, 1, bias=False)
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        net.weight.grad = torch.full((1, 1), torch.inf)
        net.weight.grad = torch.full((1, 1), torch.nan)
    cells = [row[1] for row in table(routine.plot("gradients"))]
    norms = [row[1] for row in table(routine.plot("gradients", value="norm"))]
    assert cells == norms == ["(net)", "None", "inf", "nan"]


def test_dollars_in_code_are_no_formula() -> None:
    net = nn.Linear(1, 1)
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        price = f"${1} and $\\frac$"
    figure = routine.plot()
    figure.canvas.draw()  # a formula would not parse
    assert table(figure)[2][0] == 'price = f"${1} and $\\\\frac$"'
    assert "$" in price


def test_rows_of_a_removed_layer() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        del net[1]
    changed = [row["parameter"] for row in routine.to_rows() if row["parameter_changed"]]
    assert changed == ["1.weight", "1.bias"]


def test_layers_to_draw(routine: Trace) -> None:
    assert table(routine.plot(layers="1"))[0] == ["p.sum()", "1"]
    assert table(routine.plot(layers=iter("10")))[0] == ["p.sum()", "1", "0"]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="layers is empty; the trace has 0, 1"):
        routine.plot(layers=[])


def test_bad_requests(routine: Trace) -> None:
    with pytest.raises(ValueError, match="no layer 'fc9' in this trace; the trace has 0, 1"):
        routine.plot(layers=["fc9"])
    with pytest.raises(
        ValueError, match='"gradients", "parameters" or None for both, not \'both\''
    ):
        routine.plot("both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='"sum" or "norm", not \'mean\''):
        routine.plot(value="mean")  # type: ignore[arg-type]


def test_plot_does_not_change_the_readers_own_style(routine: Trace) -> None:
    before = dict(mpl.rcParams)
    routine.plot()
    assert dict(mpl.rcParams) == before


def test_nothing_is_cut_off_and_no_texts_overlap() -> None:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters())
    with trace(net, optimizer) as routine:
        a_rather_long_name_for_the_outputs = net(torch.ones(1, 3, 32, 32)) * 1e6
        a_rather_long_name_for_the_outputs.sum().backward()
    figure = routine.plot()
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        for i, box in enumerate(boxes):
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1
            assert not any(box.overlaps(other) for other in boxes[:i])


def svg(routine: Trace) -> str:
    file = io.StringIO()
    routine.plot().savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def test_course_style_is_deterministic_and_keeps_text_as_text(routine: Trace) -> None:
    course_style()
    first, second = svg(routine), svg(routine)
    assert first == second
    assert "loss.backward()</text>" in first


def test_figures_use_only_the_palette(routine: Trace) -> None:
    """So that the book can draw every colour in light and in dark."""
    course_style()
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg(routine))) <= set(PALETTE.values())


LOOP = """\
import sys
import torch
from companion import trace
größe = torch.nn.Linear(2, 1)
with trace(größe) as routine:
    größe(torch.ones(1, 2)).sum().backward()  # ↯
for encoding in "ascii", "cp1252", "utf-8":
    sys.stdout.reconfigure(encoding=encoding)
    print(routine, flush=True)
"""


def test_a_stream_that_lacks_a_character_ends_no_training(tmp_path: Path) -> None:
    """Windows gives a file that is redirected to its own code page."""
    script = tmp_path / "loop.py"
    script.write_text(LOOP, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, check=True)
    for encoding, expected in (
        ("ascii", "gr\\xf6\\xdfe(torch.ones(1, 2)).sum().backward()  # \\u21af  2 None -> value"),
        ("cp1252", "größe(torch.ones(1, 2)).sum().backward()  # \\u21af  2 None -> value"),
        ("utf-8", "größe(torch.ones(1, 2)).sum().backward()  # ↯  2 None → value"),
    ):
        assert expected.encode(encoding) in done.stdout, encoding


def test_a_diagram_too_wide_for_a_phone_is_folded() -> None:
    """What the layers hold stands below each line, framed where it changed."""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer) as routine:
        outputs = net(torch.ones(2, 3, 32, 32))
        loss = criterion(outputs, torch.tensor([1, 2]))
        loss.backward()
    figure = routine.plot("gradients")
    assert figure.get_size_inches()[0] < 5
    rows = table(figure)
    assert rows[:2] == [["p.grad.sum()"], ["conv1", "conv2", "fc1", "fc2", "fc3"]]
    assert rows[2::2] == [["(on entering)"], *([record.source] for record in routine.records)]
    assert rows[3::2][:3] == [["None"] * 5] * 3
    assert boxes(figure) == {(7, column) for column in range(-1, 4)}


def test_ipython_shows_what_print_does_and_a_notebook_keeps_both(routine: Trace) -> None:
    """So an export as text or LaTeX holds the lines and the findings; in a list it is short."""
    shown: Callable[[object], tuple[dict[str, str], object]] = DisplayFormatter().format
    data, _ = shown(routine)
    assert data["text/plain"] == str(routine)
    assert data["text/html"] == routine._repr_html_()
    assert set(data) == {"text/plain", "text/html"}
    data, _ = shown([routine, {1: routine}])
    assert data == {"text/plain": repr([routine, {1: routine}])}
