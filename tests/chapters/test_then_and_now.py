"""The post of 2020 as it was run then, and now: what the page about it says is so.

What stands in `book/then.json` was said by PyTorch 1.5.1. It is asked again where `make then` has
made the environment for it; here only newer ones are asked, and nothing is downloaded.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from torch import nn, optim

from tests import ROOT
from tests.chapters.outputs import same_output
from tests.chapters.test_notebooks import code_cells, not_run
from tests.package.running import run
from tools.then.make import PAGE, PYTHON, SCRIPT, THEN, ask, cells, kept, together

STORED = json.loads(THEN.read_text(encoding="utf-8"))
PIN = re.findall(r"^torch==([\d.]+)$", (ROOT / "constraints.txt").read_text(), flags=re.M)[0]
Said = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def page() -> Any:
    return nbformat.read(PAGE, as_version=4)


@pytest.fixture(scope="module")
def now() -> Said:
    said: Said = runpy.run_path(str(SCRIPT))["run"]()
    return said


# What is stored, and where.


def test_the_script_is_the_one_that_was_run_and_the_page_has_it(page: Any) -> None:
    assert STORED["sha256"] == hashlib.sha256(SCRIPT.read_bytes()).hexdigest(), "make then"
    assert ROOT / STORED["script"] == SCRIPT
    sources = {cell.id: cell.source for cell in page.cells}
    assert {name: sources[name] for name in cells()} == cells()
    said: dict[str, Any] = {}
    exec(sources["then-said"], said)
    assert said["then"] == STORED


def test_the_versions_are_those_that_the_page_names(page: Any) -> None:
    assert re.fullmatch(r"3\.7\.\d+", STORED["python"])
    assert STORED["torch"] == "1.5.1"
    assert STORED["together"]["torch"] == PIN
    (shown,) = next(cell for cell in page.cells if cell.id == "then-versions").outputs
    assert shown.text == (
        f"then: Python {STORED['python']}, PyTorch 1.5.1\n"
        f"      run on {STORED['made']}\n"
        f"now:  PyTorch {PIN}\n"
    )


def test_the_script_can_be_read_by_python_3_7() -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_the_page_was_run_and_fits_on_a_screen(page: Any) -> None:
    assert not_run(page) == []
    for cell in code_cells(page):
        assert max(map(len, cell.source.splitlines())) <= 88, cell.source


# What the page says about the two.


def differing(now: Said, group: str) -> set[str]:
    then = STORED["said"][group]
    assert list(then) == list(now[group])
    return {line for line in then if not same_output(then[line], now[group][line])}


def test_what_has_not_changed(now: Said) -> None:
    assert differing(now, "tensors") == set()
    assert differing(now, "bits") == set()


def test_the_layer(now: Said) -> None:
    takes, dtype = "options(nn.Linear)", "nn.Linear(3, 1, dtype=float).weight.dtype"
    calls = {'"torch.Tensor(" in linear', '"torch.empty(" in linear'}
    assert differing(now, "linear") == {takes, dtype, *calls}
    assert now["linear"][takes] == STORED["said"]["linear"][takes][:-1] + (
        ", device=None, dtype=None)"
    )
    for said in now, STORED["said"]:
        assert said["linear"]["torch.Tensor(3, dtype=float)"] == "TypeError"
        assert said["linear"]['"grad" in linear'] == "False"


def test_zero_grad(now: Said) -> None:
    then, cleared = STORED["said"]["sums"], {"0.00": "None"}
    assert {line: cleared.get(said, said) for line, said in then.items()} == now["sums"]
    first, *middle, backward, step = then.values()
    assert first != backward == step
    assert middle == ["0.00"] * 3
    zeros = f"tensor([{', '.join(['0.'] * 10)}])"
    assert [*STORED["said"]["zero_grad"].values()] == ["()", zeros]
    assert [*now["zero_grad"].values()] == ["(set_to_none=True)", "None"]


def test_where_sgd_moves_a_parameter(now: Said) -> None:
    then = STORED["said"]["step"]
    assert [*then.values()][:3] == ["p.add_(d_p, alpha=-group['lr'])", "step", "2"]
    assert now["step"]["update().line"] == "param.add_(grad, alpha=-lr)"
    assert "<required parameter>" in then["options(optim.SGD)"]
    assert "(params, lr=0.001, " in now["step"]["options(optim.SGD)"]
    none = '"if p.grad is None:" in step'
    assert (then[none], now["step"][none]) == ("True", "False")
    assert then["untouched()"] == now["step"]["untouched()"] == "True"


def test_a_function_of_its_own_is_reached_once_for_each_group(
    now: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.optim import sgd

    name = now["step"]["update().function"]
    assert now["step"]["update().loops"] == "1"
    calls = []
    monkeypatch.setattr(sgd, name, lambda *_, **__: calls.append(torch.is_grad_enabled()))
    groups = [{"params": [nn.Parameter(torch.ones(1)) for _ in range(3)]} for _ in range(2)]
    for one in groups[0]["params"] + groups[1]["params"]:
        one.grad = torch.ones(1)
    optim.SGD(groups, lr=0.1).step()
    assert calls == [False, False]


def test_the_same_to_four_digits(now: Said) -> None:
    losses, _ = runpy.run_path(str(SCRIPT))["train"]()
    assert losses == pytest.approx([*map(float.fromhex, STORED["losses"])], abs=1e-5)


CAPABILITY = torch.backends.cpu.get_cpu_capability()


@pytest.mark.skipif("AVX" not in CAPABILITY, reason=f"on this processor it is {CAPABILITY}")
def test_a_layers_numbers_are_rounded_once_now() -> None:
    once, twice, given = rounded(torch)
    assert torch.equal(given, once)
    assert not torch.equal(given, twice)


def rounded(torch: Any) -> Any:
    """Random numbers stretched with one rounding, with two, and by PyTorch."""
    torch.manual_seed(0)
    stretched = torch.empty(1000).uniform_(-0.05, 0.05)
    torch.manual_seed(0)
    numbers = torch.rand(1000)
    low = torch.tensor([-0.05])
    wide = torch.tensor([0.05]) - low
    once = (numbers.double() * wide.double() + low.double()).float()
    return once, numbers * wide + low, stretched


# What was said then is said again, where that is possible.

where_it_is = pytest.mark.skipif(
    not PYTHON.exists(), reason="PyTorch 1.5.1 is not here; `make then` gets it"
)


@where_it_is
def test_a_layers_numbers_were_rounded_twice_then(tmp_path: Path) -> None:
    code = f"from typing import Any\nimport torch\n{inspect.getsource(rounded)}"
    code += (
        "once, twice, given = rounded(torch)\nprint((once == given).all(), (twice == given).all())"
    )
    assert run(tmp_path, PYTHON, "-c", code).well().out == "tensor(False) tensor(True)\n"


@where_it_is
def test_then_is_what_is_stored() -> None:
    again = kept(ask(PYTHON))
    assert (again["torch"], again["python"]) == (STORED["torch"], STORED["python"])
    assert same_output(json.dumps(STORED["said"]), json.dumps(again["said"]))
    assert again["said"]["bits"] == STORED["said"]["bits"]
    assert again["parameters"]["at first"] == STORED["parameters"]["at first"]
    near = [*map(float.fromhex, STORED["losses"])]
    assert [*map(float.fromhex, again["losses"])] == pytest.approx(near, abs=1e-5)


def test_two_runs_are_compared_bit_by_bit() -> None:
    def made(losses: list[float], numbers: list[float]) -> dict[str, Any]:
        stage = {"all": [n.hex() for n in numbers], "bits": "1"}
        hexed = [loss.hex() for loss in losses]
        return {"python": "3", "torch": "2", "losses": hexed, "parameters": {"at first": stage}}

    a, b = made([1.0, 2.0], [1.0, 0.5, 0.25]), made([1.5, 2.0], [1.0, 0.25, 0.25])
    assert together(a, b) == {
        "python": "3",
        "torch": "2",
        "steps whose loss is the same": [2],
        "at first": {"same": 2, "of": 3, "furthest": 0.25},
    }
    assert kept(a)["parameters"] == {"at first": "1"}
