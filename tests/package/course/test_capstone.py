"""The exercise that runs a reader's SGD: its cases are PyTorch's, and what it says is so."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import companion
from companion.course.capstone.cases import CASES, OWN, SCHEDULERS
from companion.course.capstone.judging import PLAYED, judge, torchs
from companion.course.capstone.mistakes import HINTS, with_one
from tests.package.optim.torch_cases import INFOS
from tests.package.versions import since


def test_there_are_as_many_as_chapter_6_says() -> None:
    assert (len(CASES), len(OWN), len(SCHEDULERS)) == (9, 3, 7)


@since("2.14", "it may have other cases")
def test_the_cases_are_pytorchs() -> None:
    theirs = INFOS["SGD"].optim_inputs_func("cpu", torch.float32)
    assert [(case.desc, case.kwargs) for case in theirs] == [*CASES]


@since("2.14", "it may have other schedulers")
def test_the_schedulers_are_pytorchs() -> None:
    """Told by what they are and by what they keep; a function of the optimizer cannot be."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    theirs, ours = (
        [[told(make(optimizer)) for make in makers] for makers in all_makers]
        for all_makers in (INFOS["SGD"].scheduler_inputs, SCHEDULERS)
    )
    assert ours == theirs


def told(scheduler: object) -> tuple[type, dict[str, Any]]:
    """Its settings: plain numbers, and not what counts the steps that other ones have taken."""
    settings = {k: v for k, v in vars(scheduler).items() if isinstance(v, (int, float, str))}
    return type(scheduler), settings


def test_what_is_played_moves_all_parameters_and_stays_finite() -> None:
    for number, (case, _) in enumerate(PLAYED):
        first, *_, last = torchs(number)
        for before, after in zip(first.params, last.params, strict=True):
            assert after.isfinite().all(), case
            assert not torch.equal(before, after), case


@pytest.mark.parametrize("made", [torch.optim.SGD, companion.SGD, with_one("")])
def test_sgd_is_right(made: type[torch.optim.Optimizer]) -> None:
    assert judge(made) is None


def test_its_foreach_path_is_right() -> None:
    """Torch's own cannot be: with nesterov it writes to the gradient."""
    assert judge(lambda params, **options: companion.SGD(params, **options, foreach=True)) is None


@pytest.mark.parametrize("mistake", HINTS)
def test_each_mistake_is_named(mistake: str) -> None:
    assert judge(with_one(mistake)) == HINTS[mistake]
