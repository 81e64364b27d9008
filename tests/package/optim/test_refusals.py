"""What the optimizers refuse, and every difference from torch's that their docstrings list."""

from __future__ import annotations

import inspect
import math
import typing
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import optimizer as torch_optimizer

import companion
from companion import SGD, Adam
from tests.package.optim.twins import NAMES, Twins, each_optimizer
from tests.package.versions import since

NAN = math.nan
T = torch.tensor
EVERY = [
    ({"lr": -0.1}, "Invalid learning rate: -0.1; lr must be 0 or more, and finite"),
    ({"lr": NAN}, "Invalid learning rate: nan; lr must be 0 or more, and finite"),
    ({"lr": math.inf}, "Invalid learning rate: inf; lr must be 0 or more, and finite"),
    ({"lr": T(-1.0)}, "Invalid learning rate: -1.0; lr"),
    ({"lr": torch.ones(2)}, r"Tensor lr must be 1-element, not of shape \(2,\)"),
    ({"lr": "1e-3"}, r"lr must be a number, not the str '1e-3': write float\('1e-3'\)"),
    ({"lr": None}, "lr must be a number, not the NoneType None"),
    ({"lr": [0.1]}, r"lr must be a number, not the list \[0.1\]"),
    ({"lr": 1j}, "lr must be a number, not the complex 1j"),
    ({"lr": np.float32(NAN)}, "Invalid learning rate: nan; lr must be 0 or more, and finite"),
    ({"weight_decay": -1}, "Invalid weight_decay value: -1; weight_decay must be 0 or more"),
    ({"weight_decay": NAN}, "Invalid weight_decay value: nan; weight_decay must be 0 or more"),
    ({"fused": True}, r"companion.\w+ has no fused=True: .*Leave it out, or use torch.optim"),
    ({"foreach": True, "differentiable": True}, "cannot both be had: .*Leave foreach out"),
]
SGD_ONLY = [
    ({"momentum": -1}, "Invalid momentum value: -1; momentum must be 0 or more, and finite"),
    ({"momentum": NAN}, "Invalid momentum value: nan; momentum must be 0 or more"),
    ({"dampening": -0.5}, "Invalid dampening value: -0.5; dampening must be from 0 to 1"),
    ({"dampening": 1.5}, "Invalid dampening value: 1.5; dampening must be from 0 to 1"),
    ({"nesterov": True}, r"Nesterov momentum requires a momentum and zero .* momentum=0,"),
    (
        {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
        r"Nesterov momentum requires a momentum and zero dampening; .* dampening=0.1",
    ),
]
ADAM_ONLY = [
    ({"eps": -1e-8}, "Invalid epsilon value: -1e-08; eps must be 0 or more"),
    ({"betas": (1.0, 0.999)}, "Invalid beta parameter at index 0: 1.0; .* 0 or more and less th"),
    ({"betas": (0.9, NAN)}, "Invalid beta parameter at index 1: nan; betas.1. must be 0 or more"),
    ({"betas": (0.9, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
    ({"betas": (0, 0.999)}, r"betas must be either both floats or both Tensors, not \(0, 0.999\)"),
    ({"betas": 0.9}, r"betas must be a pair such as \(0.9, 0.999\), not 0.9"),
    ({"betas": (0.9, "0.999")}, r"betas\[1\] must be a number, not the str '0.999'"),
    ({"foreach": True, "lr": T(0.1)}, "lr as a Tensor is not supported .*leave foreach out"),
    ({"foreach": True, "betas": (T(0.9), T(0.9))}, r"betas\[0\] as a Tensor is not .*foreach out"),
]
REFUSED = [
    (name, options, message)
    for name in NAMES
    for options, message in EVERY + (SGD_ONLY if name == "SGD" else ADAM_ONLY)
] + [
    (name, {"capturable": True}, "has no capturable=True: .*Leave it out, or use torch.optim")
    for name in ("Adam", "AdamW")
]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED, ids=str)
def test_refused(name: str, options: dict[str, Any], message: str) -> None:
    """In the constructor, in a group, and in a group that is added; nothing is left half done."""
    ours = getattr(companion, name)
    p = nn.Parameter(torch.ones(1))
    with pytest.raises((ValueError, TypeError), match=message):
        ours([p], **options)
    with pytest.raises((ValueError, TypeError), match=message):
        ours([{"params": [p], **options}])
    optimizer = ours([nn.Parameter(torch.ones(1))])
    with pytest.raises((ValueError, TypeError), match=message):
        optimizer.add_param_group({"params": [p], **options})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [p]})


@pytest.mark.parametrize(("name", "options", "message"), REFUSED, ids=str)
def test_where_torch_refuses_too_the_message_begins_with_its_words(
    name: str, options: dict[str, Any], message: str
) -> None:
    p = nn.Parameter(torch.ones(1))
    theirs = ours = None
    try:
        getattr(torch.optim, name)([p], **options)
    except Exception as error:
        theirs = error
    try:
        getattr(companion, name)([p], **options)
    except Exception as error:
        ours = error
    assert ours is not None
    if type(theirs) is ValueError:  # else "'<' not supported between ...", or torch accepts it
        assert str(ours).startswith(str(theirs))


def test_torch_still_accepts_what_our_docstrings_say_it_does() -> None:
    """The docstrings' lists of differences: each was so in torch when this was written."""
    p = nn.Parameter(torch.ones(1))
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    sgd([p], lr=NAN)
    sgd([p], lr=math.inf)
    sgd([p], dampening=-0.5)
    sgd([p], dampening=1.5)
    sgd([{"params": [p], "lr": -1}])
    sgd([p], foreach=True, differentiable=True)
    adam([p], lr=math.inf)
    adam([{"params": [p], "betas": (1.0, NAN)}])


@since("2.9", "it takes fewer of them")
def test_numbers_of_other_kinds() -> None:
    for lr in (1, True, np.float32(0.5), np.float64(0.5), np.array(0.5), T(0.5), T([[1]])):
        twins = Twins("SGD", [torch.ones(3)], lr=lr, momentum=0.9)
        twins.step([torch.ones(3)])
    for lr in (1, np.float64(0.5), T(0.5)):
        Twins("Adam", [torch.ones(3)], lr=lr).step([torch.ones(3)])


def test_a_group_that_is_no_dict() -> None:
    p = nn.Parameter(torch.ones(1))
    with pytest.raises(TypeError, match="param_group must be a dict"):
        SGD([p]).add_param_group([p])  # type: ignore[arg-type]


@each_optimizer
@pytest.mark.parametrize("flag", ["fused", "foreach and differentiable"])
def test_a_state_dict_that_needs_what_is_not_there(name: str, flag: str) -> None:
    """It is refused, with what to do, and the optimizer is as it was."""
    p = nn.Parameter(torch.ones(1))
    saved = getattr(torch.optim, name)([p]).state_dict()
    for option in flag.split(" and "):
        saved["param_groups"][0][option] = True
    optimizer = getattr(companion, name)([p], lr=0.5)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"It was saved so; .* in the state dict's param_groups"):
        optimizer.load_state_dict(saved)
    assert optimizer.state_dict() == before
    saved["param_groups"][0][option] = False
    optimizer.load_state_dict(saved)


def test_amsgrad_switched_on_late() -> None:
    p = nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    for module in torch.optim, companion:
        optimizer = module.Adam([p])
        optimizer.step()
        optimizer.param_groups[0]["amsgrad"] = True
        if module is torch.optim:
            with pytest.raises(KeyError):
                optimizer.step()
        else:
            optimizer.step()
            assert optimizer.state[p]["max_exp_avg_sq"] > 0


def test_a_tensor_lr_set_later_with_foreach() -> None:
    p = nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    optimizer = Adam([p], foreach=True)
    optimizer.param_groups[0]["lr"] = T(0.1)
    with pytest.raises(RuntimeError, match=r"lr as a Tensor is not supported .*leave foreach out"):
        optimizer.step()
    assert p.item() == 1.0


@each_optimizer
def test_fused_set_later(name: str) -> None:
    p = nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    optimizer = getattr(companion, name)([p])
    optimizer.param_groups[0]["fused"] = True
    with pytest.raises(ValueError, match="has no fused=True"):
        optimizer.step()
    assert p.item() == 1.0


def test_capturable_set_later_is_ignored() -> None:
    """torch.compile sets it, on a GPU, when it meets an optimizer without a state."""
    twins = Twins("Adam", [torch.ones(3)])
    twins.companions.param_groups[0]["capturable"] = True
    twins.step([torch.ones(3)])


@since("2.14", "it keeps a list of betas as a list")
def test_betas_are_any_pair_and_kept_as_torch_keeps_them() -> None:
    p = nn.Parameter(torch.ones(1))
    for betas in ([0.9, 0.99], np.array([0.9, 0.99]), T([0.9, 0.99]), (T([0.9]), T([[0.99]]))):
        kept = [m.Adam([p], betas=betas).param_groups[0]["betas"] for m in (torch.optim, companion)]
        assert kept[0] == kept[1]
        assert repr(kept[0]) == repr(kept[1])


def test_a_betas_of_0_set_later() -> None:
    """An int, which the constructor refuses as torch's does, and a step takes as torch's does."""
    twins = Twins("Adam", [torch.ones(3)])
    for optimizer in twins.torchs, twins.companions:
        optimizer.param_groups[0]["betas"] = (0, 0.99)
    twins.step([torch.ones(3)])


def test_type_hints_can_be_read() -> None:
    """Tools that make a command line from a class do so."""
    for name in NAMES:
        assert "lr" in typing.get_type_hints(getattr(companion, name).__init__)


def test_the_default_path_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch would take foreach if this were a GPU; a choice, `fused=False` too, is respected."""
    taken = []
    for name in NAMES:
        ours = getattr(companion, name)
        p = nn.Parameter(torch.ones(1))
        p.grad = torch.ones(1)
        for path in "_loop", "_foreach", "_differentiable":
            monkeypatch.setattr(
                ours, path, staticmethod(lambda *a, path=path, **k: taken.append(path))
            )
        options: list[dict[str, Any]] = [
            {},
            {"foreach": True},
            {"foreach": False},
            {"fused": False},
            {"differentiable": True},
        ]
        for gpus in ["cuda"], ["cuda", "cpu"]:
            monkeypatch.setattr(
                torch_optimizer, "_get_foreach_kernels_supported_devices", lambda g=gpus: g
            )
            for option in options:
                ours([p], **option).step()
        if name != "SGD":
            ours([p], lr=T(0.1)).step()
            assert taken.pop() == "_loop"
    on_cpu = ["_loop", "_foreach", "_loop", "_loop", "_differentiable"]
    on_gpu = ["_foreach", "_foreach", "_loop", "_loop", "_differentiable"]
    assert taken == 3 * (on_cpu + on_gpu)


@each_optimizer
def test_the_signature_is_torchs(name: str) -> None:
    """The same names in the same order, with the same defaults, by keyword where torch's are."""
    theirs, ours = (
        [
            (p.name, p.default, p.kind)
            for p in inspect.signature(getattr(m, name)).parameters.values()
        ]
        for m in (torch.optim, companion)
    )
    assert ours == theirs
