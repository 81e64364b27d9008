"""Any shapes, dtypes, options and any course of events: equal to torch's, always.

hypothesis draws the course: gradients that are absent, zero, sparse or not finite, groups that
join, learning rates that change, checkpoints that go from one optimizer into the other.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.package.optim.twins import DTYPES, PATHS, Twins, each_optimizer, same

pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse invariant checks"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]

rate = st.floats(0, 2) | st.sampled_from([0.0, 1e-3, 0.1])
shape = st.lists(st.integers(0, 5), max_size=3).map(tuple)
beta = st.floats(0, 1, exclude_max=True)
kind = st.sampled_from(["none", "zero", "random", "random", "nan", "inf", "huge", "sparse"])
event = st.sampled_from(["", "", "", "lr", "group", "torch to ours", "ours to torch", "copy"])


@st.composite
def sgd_options(draw: st.DrawFn) -> dict[str, Any]:
    momentum = draw(st.just(0.0) | rate)
    nesterov = draw(st.booleans()) and momentum > 0
    dampening = 0.0 if nesterov else draw(st.just(0.0) | st.floats(0, 1))
    return {"momentum": momentum, "nesterov": nesterov, "dampening": dampening}


@st.composite
def adam_options(draw: st.DrawFn) -> dict[str, Any]:
    betas = draw(st.tuples(beta, beta) | st.just((0.9, 0.999)))
    return {"betas": betas, "eps": draw(rate), "amsgrad": draw(st.booleans())}


@st.composite
def any_options(draw: st.DrawFn, name: str) -> dict[str, Any]:
    own = draw(sgd_options() if name == "SGD" else adam_options())
    decay = draw(st.just(0.0) | rate)
    return {**own, "lr": draw(rate), "weight_decay": decay, "maximize": draw(st.booleans())}


def gradient(kind: str, like: Tensor) -> Tensor | None:
    if kind == "none":
        return None
    if kind == "sparse" and like.dim() and like.shape[0]:
        rows = torch.randint(like.shape[0], (1, 3))
        values = torch.randn(3, *like.shape[1:], dtype=like.dtype)
        return torch.sparse_coo_tensor(rows, values, like.shape)
    fill = {"zero": 0.0, "nan": math.nan, "inf": math.inf}.get(kind)
    if fill is not None:
        return torch.full_like(like, fill).detach()
    return torch.randn_like(like).detach() * (1e30 if kind == "huge" else 1)


@pytest.mark.parametrize("path", PATHS)
@each_optimizer
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_course_of_events(name: str, path: str, data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 99), label="seed"))
    dtypes = st.sampled_from(DTYPES)
    kinds_of_params = st.lists(st.tuples(shape, dtypes), min_size=1, max_size=4)
    params = [torch.randn(s, dtype=d) for s, d in data.draw(kinds_of_params, label="parameters")]
    twins = Twins(name, params, **data.draw(any_options(name), label="options"), **PATHS[path])
    saved = path != "differentiable"  # a state with a graph is not copied
    for happens in data.draw(st.lists(event, max_size=6), label="events"):
        if happens == "lr":
            lr = data.draw(rate, label="lr")
            for optimizer in twins.torchs, twins.companions:
                optimizer.param_groups[-1]["lr"] = lr
        elif happens == "group":
            join(twins, data.draw(any_options(name), label="options"), path)
        elif happens == "torch to ours" and saved:
            twins.companions.load_state_dict(copy.deepcopy(twins.torchs.state_dict()))
        elif happens == "ours to torch" and saved:
            twins.torchs.load_state_dict(copy.deepcopy(twins.companions.state_dict()))
        elif happens == "copy" and saved:
            twins.companions = copy.deepcopy(twins.companions)
            twins.ours = [p for group in twins.companions.param_groups for p in group["params"]]
        grads = [gradient(data.draw(kind, label="gradient"), p) for p in twins.theirs]
        twins.give(grads)
        refusals = [refusal(twins.torchs), refusal(twins.companions)]
        assert (refusals[0] is None) == (refusals[1] is None), refusals
        if refusals[0]:
            return  # such as a sparse gradient after a dense one
        twins.assert_same()
        for p, grad in zip(twins.ours, grads, strict=True):
            assert grad is None or (p.grad is not None and same(p.grad, grad))


def join(twins: Twins, options: dict[str, Any], path: str) -> None:
    leaf = torch.randn(3)
    for optimizer, params in (twins.torchs, twins.theirs), (twins.companions, twins.ours):
        p = leaf.clone().requires_grad_()
        params.append(p.clone() if path == "differentiable" else p)
        optimizer.add_param_group({"params": params[-1], **options})


def refusal(optimizer: Any) -> str | None:
    try:
        optimizer.step()
    except RuntimeError as error:
        return str(error)
    return None
