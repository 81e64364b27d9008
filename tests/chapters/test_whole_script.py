"""The script that *A whole script* makes: the page's own, sound, and stopped without a trace."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from tests import ROOT
from tests.package.running import forks

SCRIPT = ROOT / "book/train_digits.py"
TEXT = SCRIPT.read_text(encoding="utf-8")
CELLS = nbformat.read(ROOT / "book/08_a_whole_script.ipynb", as_version=4).cells
PER_EPOCH = 45


def test_the_notebook_makes_this_very_file() -> None:
    """What is computed there is compared with what is stored; what is stored, here."""
    outputs = [output for cell in CELLS for output in cell.get("outputs", [])]
    shown = [o.data["text/markdown"] for o in outputs if "text/markdown" in o.get("data", {})]
    assert shown == [f"```python\n{TEXT}```"]


def test_its_settings_are_those_that_the_chapter_shows() -> None:
    settings = "\n".join(TEXT.partition("\nBATCH")[2].splitlines()[:4])
    assert settings.endswith("CrossEntropyLoss()")
    visible = [c.source for c in CELLS if "hide-input" not in c.metadata.get("tags", [])]
    (cell,) = (source for source in visible if f"BATCH{settings}\n" in source)
    names: dict[str, Any] = {"torch": torch, "nn": torch.nn}
    exec(cell, names)
    assert names["DEVICE"] == "cpu"  # there, for its digits are the CPU's


def test_it_fits_a_page() -> None:
    lines = TEXT.splitlines()
    assert max(map(len, lines)) <= 88
    assert len([line for line in lines if line.strip()]) <= 100


def test_the_command_finds_nothing_in_it(tmp_path: Path) -> None:
    """Watched into the second epoch, so that a validation and what follows it is seen."""
    shutil.copy(SCRIPT, tmp_path)
    fork = forks("sklearn.datasets")
    done = fork.run(tmp_path, "--steps", "47", "train_digits.py", "50", how="command").well()
    assert done.err.startswith("companion: watched 47 steps, no findings\n")
    assert done.out.startswith("epoch 0: training 0.6")
    assert {path.name for path in tmp_path.glob("*.pt*")} == {"checkpoint.pt"}
    once_more = fork.run(tmp_path, "train_digits.py", "90").well()
    assert once_more.out.startswith("epoch 1: ")


@pytest.fixture(scope="module")
def main() -> Any:
    return runpy.run_path(str(SCRIPT))["main"]


@pytest.fixture(scope="module")
def whole(main: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two epochs and a half leave behind when nobody stops them."""
    path = tmp_path_factory.mktemp("whole") / "whole.pt"
    main(110, path)
    return loaded(path)


def loaded(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path)
    return state


def same(one: Any, other: Any) -> bool:
    """The same numbers in the same places."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("stops", [[50], [45], [1, 2, 90], [44, 46, 109]], ids=str)
def test_a_stop_leaves_no_trace(
    stops: list[int], main: Any, whole: dict[str, Any], tmp_path: Path
) -> None:
    for until in [*stops, 110]:
        torch.manual_seed(until)  # what a new process begins with does not matter
        main(until, tmp_path / "stopped.pt")
    state = loaded(tmp_path / "stopped.pt")
    assert same(state, whole)
    assert state["progress"]["step"] == 110
    assert state["progress"]["weights"] is not None


@pytest.mark.parametrize("lost", ["net", "optimizer", "scheduler", "random", "step", "weights"])
def test_each_part_of_its_checkpoint_is_needed(
    lost: str, main: Any, whole: dict[str, Any], tmp_path: Path
) -> None:
    main(1, tmp_path / "new.pt")
    main(50, path := tmp_path / "stopped.pt")
    new, state = loaded(tmp_path / "new.pt"), loaded(path)
    if lost in state:
        state[lost] = new[lost]
    else:
        state["progress"][lost] = {"step": PER_EPOCH, "weights": None}[lost]
    torch.save(state, path)
    main(110 if lost != "weights" else 60, path)
    if lost == "weights":
        assert loaded(path)["progress"]["weights"] is None
    else:
        assert not same(loaded(path)["net"], whole["net"])


def test_the_best_weights_are_those_of_the_best_epoch(main: Any, tmp_path: Path) -> None:
    progress = main(path=tmp_path / "whole.pt")
    state = loaded(tmp_path / "whole.pt")
    assert not same(progress["weights"], state["net"])
    names = runpy.run_path(str(SCRIPT))
    net = names["network"]()
    net.load_state_dict(progress["weights"])
    _, valid_set = names["data"]()
    assert names["evaluate"](net, names["batches"](valid_set, 0)) == progress["best"]
