"""Checkpoints: what an optimizer saves and takes back, as torch's does."""

from __future__ import annotations

import collections
import copy
import io
import pickle
import types
from typing import Any

import pytest
import torch
from torch import nn

import companion
from tests.package.optim.twins import CASES, NAMES, Twins, random
from tests.package.versions import since


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_training_goes_on_bit_for_bit(name: str, options: dict[str, Any], foreach: bool) -> None:
    """From torch's into ours, from ours into torch's, through a file, a pickle and a copy."""
    twins = Twins(name, [torch.randn(5), torch.randn(2, 3)], **options, foreach=foreach)
    for change in ("", "torch to ours", "ours to torch", "file", "pickle", "copy"):
        if change == "torch to ours":
            twins.companions.load_state_dict(copy.deepcopy(twins.torchs.state_dict()))
        elif change == "ours to torch":
            twins.torchs.load_state_dict(copy.deepcopy(twins.companions.state_dict()))
        elif change == "file":
            twins.companions.load_state_dict(through_a_file(twins.torchs.state_dict()))
            twins.torchs.load_state_dict(through_a_file(twins.companions.state_dict()))
        elif change == "pickle":
            twins.companions = pickle.loads(pickle.dumps(twins.companions))
            twins.ours = twins.companions.param_groups[0]["params"]
        elif change == "copy":
            twins.companions = copy.deepcopy(twins.companions)
            twins.ours = twins.companions.param_groups[0]["params"]
        twins.step(random(twins.theirs))
        twins.step([None, *random(twins.theirs[1:])])


def test_adams_state_goes_on_in_adamw_and_back() -> None:
    """As in torch: AdamW stays AdamW, and Adam becomes what it loads."""
    for source, target, decoupled in ("Adam", "AdamW", True), ("AdamW", "Adam", True):
        for module in torch.optim, companion:
            p = nn.Parameter(torch.ones(1))
            saved = getattr(module, source)([p]).state_dict()
            loaded = getattr(module, target)([p])
            loaded.load_state_dict(saved)
            assert loaded.param_groups[0]["decoupled_weight_decay"] is decoupled


def test_notes_of_the_users_own_in_the_state() -> None:
    """Under names of their own, beside the parameters and beside what is kept for one."""
    for name in NAMES:
        twins = Twins(name, [torch.randn(3, dtype=torch.complex64)])
        for _ in range(3):
            twins.step(random(twins.theirs))
            for optimizer, (p,) in (twins.torchs, twins.theirs), (twins.companions, twins.ours):
                optimizer.state["epoch"] = 7
                optimizer.state["mine"] = {"step": 7}
                if p in optimizer.state:
                    optimizer.state[p]["name"] = torch.tensor(1)
                optimizer.load_state_dict(optimizer.state_dict())
                assert optimizer.state["mine"] == {"step": 7}


def test_step_counts_that_are_whole_numbers() -> None:
    twins = Twins("Adam", [torch.ones(3)])
    twins.step([torch.ones(3)])
    for optimizer, (p,) in (twins.torchs, twins.theirs), (twins.companions, twins.ours):
        optimizer.state[p]["step"] = torch.tensor(1)
    twins.step([torch.ones(3)])


def test_a_state_reset_by_hand() -> None:
    """`__setstate__` with the state alone."""
    for name in NAMES:
        twins = Twins(name, [torch.ones(3)])
        twins.step([torch.ones(3)])
        for optimizer in twins.torchs, twins.companions:
            optimizer.__setstate__({"state": collections.defaultdict(dict)})
        twins.step([torch.ones(3)])


@since("2.14", "it asks in another way whether a graph is captured")
def test_a_cuda_graph_needs_capturable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU here: torch is told that there is one and that it captures."""
    p = nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    gpu, stream = torch.device("cuda"), types.SimpleNamespace(is_capturing=lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: gpu)
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda: stream)
    for optimizer in companion.Adam([p]), companion.AdamW([p]):
        with pytest.raises(RuntimeError, match="Attempting CUDA graph capture of step"):
            optimizer.step()
    assert p.item() == 1.0


def test_state_dict_hooks() -> None:
    p = nn.Parameter(torch.ones(1))
    optimizer = companion.SGD([p])
    calls: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("pre"))
    optimizer.register_state_dict_post_hook(lambda o, s: calls.append("post"))
    optimizer.register_load_state_dict_pre_hook(lambda o, s: calls.append("load pre"))
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("load post"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["pre", "post", "load pre", "load post"]
