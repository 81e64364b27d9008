"""Several networks and optimizers, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from companion import trace
from tests.package.tracing.watching import BOTH, INPUTS, loss_of


def test_names_are_the_callers_variables() -> None:
    generator, critic = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1), nn.Tanh())
    g_adam = torch.optim.Adam(generator.parameters(), lr=0.25)
    c_adam = torch.optim.Adam(critic.parameters(), lr=0.5)
    with trace(generator, critic, g_adam, c_adam) as routine:
        critic(generator(torch.ones(4, 2))).mean().backward()
        c_adam.step()
        generator.eval()
    assert routine.network == "generator, critic"
    backward, step, mode = routine.records
    assert list(backward.after.parameters) == [
        "generator.weight",
        "generator.bias",
        "critic.0.weight",
        "critic.0.bias",
    ]
    assert backward.changed_gradients == tuple(backward.after.parameters)
    assert step.changed_parameters == ("critic.0.weight", "critic.0.bias")
    assert [(e.kind, e.name) for e in step.events] == [("step", "c_adam")]
    assert step.after.learning_rates == {"g_adam": (0.25,), "c_adam": (0.5,)}
    assert dict(mode.after.training) == {
        "generator": False,
        "critic": True,
        "critic.0": True,
        "critic.1": True,
    }


GLOBAL = nn.Linear(1, 1)


def test_a_local_name_comes_before_a_global_one() -> None:
    model, other = GLOBAL, nn.Linear(1, 1)
    with trace(model, other) as routine:
        pass
    names = {name.split(".")[0] for name in routine.records[0].after.parameters}
    assert names == {"model", "other"}


def test_a_mapping_gives_the_names(net: Any, sgd: torch.optim.SGD) -> None:
    with trace({"G": net, "D": nn.Linear(1, 1), "opt": sgd}) as routine:
        loss_of(net).backward()
        sgd.step()
    assert routine.records[0].changed_gradients == ("G.weight", "G.bias")
    assert routine.records[1].events[0].name == "opt"


def test_objects_without_a_name_have_their_class_s() -> None:
    with trace(nn.Linear(1, 1), nn.Linear(1, 1), nn.Bilinear(1, 1, 1)) as routine:
        pass
    names = [name.split(".")[0] for name in routine.records[0].after.parameters]
    assert list(dict.fromkeys(names)) == ["Linear", "Linear_2", "Bilinear"]


def test_the_same_network_twice_is_one(net: Any, sgd: torch.optim.SGD) -> None:
    with trace(net, net, sgd, sgd) as routine:
        loss_of(net).backward()
    assert routine.records[0].changed_gradients == BOTH


def test_shared_parameters_are_named_once() -> None:
    encoder, decoder = nn.Linear(3, 3, bias=False), nn.Linear(3, 3)
    decoder.weight = encoder.weight
    with trace(encoder, decoder) as routine:
        decoder(encoder(INPUTS)).sum().backward()
    assert routine.records[0].changed_gradients == ("encoder.weight", "decoder.bias")
    assert list(routine.records[0].after.parameters) == ["encoder.weight", "decoder.bias"]


def test_one_grad_scaler(net: Any) -> None:
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(TypeError, match="takes one GradScaler, not 2"):
        trace(net, scaler, torch.amp.GradScaler("cpu"))
