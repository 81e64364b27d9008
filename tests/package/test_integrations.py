"""The callbacks without their libraries, and the pytest plugin in a pytest of its own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import companion
from companion.integrations.watching import Watching
from tests.package.running import Ran, forks, python, write

PLUGIN = Path(companion.__file__).parents[1] / "pytest_companion.py"

TESTS = """\
import sys

def test_torch_is_not_there_yet():
    assert "torch" not in sys.modules

def loop(clears):
    import torch
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        if clears:
            optimizer.zero_grad()
        net(torch.ones(3, 2)).square().mean().backward()
        optimizer.step()

def test_sound(assert_trains):
    assert assert_trains(loop, True).network == "Linear"

def test_broken(assert_trains):
    assert_trains(loop, clears=False)

def test_raises(assert_trains):
    assert_trains(loop)

def test_idle(assert_trains):
    assert_trains(list)
"""


@pytest.mark.parametrize("library", ["lightning", "transformers"])
def test_a_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"companion.integrations.{library}"
    for one in [one for one in sys.modules if one.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, one)
    monkeypatch.delitem(sys.modules, "pytorch_lightning", raising=False)
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, library, None)  # Python's own way to say "not installed"
    with pytest.raises(ImportError) as caught:
        importlib.import_module(name)
    wanted = f'{name} needs {library}: pip install "training-routine[{library}]"'
    assert str(caught.value) == wanted


@pytest.mark.parametrize("steps", [0, True, "3"])
def test_a_number_of_steps_that_is_none(steps: int) -> None:
    with pytest.raises(ValueError, match="steps must be a positive integer, not"):
        Watching(steps, report=False)


def own_pytest(folder: Path, *options: str, fork: bool = False, **variables: str) -> Ran:
    """Run pytest on `TESTS`, with the plugin and no other; in a fork, torch is there already."""
    if not PLUGIN.exists():
        pytest.skip("an installed companion brings the plugin by its entry point")
    write(folder, TESTS, "test_loops.py")
    mine = {"PYTHONPATH": str(PLUGIN.parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    given = ("pytest", "-p", "pytest_companion", "-p", "no:cacheprovider", "-rf", "-q", *options)
    if fork:
        return forks().run(folder, *given, how="module", variables={**mine, **variables})
    return python(folder, "-m", *given, variables={**mine, **variables})


@pytest.mark.parametrize("options", [[], ["-s"], ["--capture=sys"]])
def test_what_the_fixture_says_fits_the_terminal(options: list[str], tmp_path: Path) -> None:
    wide, narrow = (
        [line for line in ran.out.splitlines() if line.startswith("E ")]
        for ran in (
            own_pytest(tmp_path, "-k", "broken", *options, fork=True, **one)
            for one in ({}, {"COLUMNS": "80"})
        )
    )
    assert max(map(len, wide)) > 80, wide
    assert [line for line in narrow if len(line) > 80] == []
    assert "E       accumulates, line 13, 2 times:" in "\n".join(narrow)


def test_the_fixture_in_a_pytest_of_its_own(tmp_path: Path) -> None:
    ran = own_pytest(tmp_path)
    assert ran.code == 1, ran.out + ran.err
    assert "3 failed, 2 passed" in ran.out
    assert "AssertionError: loop: watched 3 steps, 1 finding\n" in ran.out
    assert "accumulates, line 13, 2 times" in ran.out
    assert "AssertionError: list does not train: no step was seen\n" in ran.out
    assert "TypeError: loop() missing 1 required positional argument: 'clears'\n" in ran.out
