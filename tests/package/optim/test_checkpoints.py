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
from torch import Tensor, nn
from torch.optim import optimizer as torch_optimizer

import companion
from tests.package.optim.twins import CASES, NAMES, Twins, each_optimizer, random
from tests.package.versions import since

# Checkpoints.


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_training_goes_on_bit_for_bit(name: str, options: dict[str, Any], foreach: bool) -> None:
    """From torch's into ours, from ours into torch's, through a file, a pickle and a copy."""
    torch.manual_seed(0)
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


# Steps.


@each_optimizer
def test_closure_runs_with_gradients_and_its_loss_comes_back(name: str) -> None:
    """Also where everything around it has gradients off, and a loss of any type."""
    ends = []
    for module in torch.optim, companion:
        p = nn.Parameter(torch.ones(2))
        optimizer = getattr(module, name)([p], lr=0.5)

        def closure(p: Tensor = p, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = (p * p).sum()
            loss.backward()
            return loss

        assert optimizer.step() is None
        with torch.no_grad():
            assert optimizer.step(closure) == 2.0
        assert optimizer.step(closure=lambda: "a string") == "a string"
        ends.append(p)
    assert torch.equal(*ends)


def test_an_error_in_a_closure_leaves_gradients_on() -> None:
    p = nn.Parameter(torch.ones(2))
    with pytest.raises(ZeroDivisionError):
        companion.SGD([p]).step(lambda: 1 / 0)
    assert torch.is_grad_enabled()


@each_optimizer
def test_step_hooks(name: str) -> None:
    """In torch's order, with torch's arguments; a pre-hook may change them."""
    seen: dict[Any, list[Any]] = {}
    for module in torch.optim, companion:
        p = nn.Parameter(torch.ones(2))
        p.grad = torch.ones(2)
        optimizer = getattr(module, name)([p])
        calls: list[Any] = []

        def note(what: str, p: Tensor = p, calls: list[Any] = calls) -> Any:
            def hook(optimizer: Any, args: Any, kwargs: Any) -> None:
                calls.append((what, len(args), dict(kwargs), p.tolist()))

            return hook

        handles = [
            torch_optimizer.register_optimizer_step_pre_hook(note("pre, all")),
            torch_optimizer.register_optimizer_step_post_hook(note("post, all")),
            optimizer.register_step_pre_hook(note("pre")),
            optimizer.register_step_post_hook(note("post")),
        ]
        optimizer.step()
        optimizer.step(None)
        optimizer.step(closure=None)
        for handle in handles:
            handle.remove()
        optimizer.step()
        swap = optimizer.register_step_pre_hook(lambda o, a, k: ((o, lambda: "swapped"), {}))
        calls.append(optimizer.step())
        swap.remove()
        calls.append(optimizer.step())
        seen[module] = calls
    assert seen[torch.optim] == seen[companion]
    assert len(seen[companion]) == 3 * 4 + 2
    assert seen[companion][-2:] == ["swapped", None]


@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("whose", ["one", "all"])
def test_each_kind_of_hook_alone(when: str, whose: str) -> None:
    """Without any the step runs bare, so each must be noticed by itself."""
    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer, calls = companion.SGD([p]), []
    one, every = f"register_step_{when}_hook", f"register_optimizer_step_{when}_hook"
    register = getattr(optimizer, one) if whose == "one" else getattr(torch_optimizer, every)
    handle = register(lambda *args: calls.append("called"))
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert calls == ["called"]


@pytest.mark.filterwarnings("ignore")  # of the profiler
def test_a_profiler_sees_the_step() -> None:
    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer = companion.AdamW([p])
    optimizer.step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    assert "Optimizer.step#AdamW.step" in {event.key for event in profile.key_averages()}


def test_a_subclass_with_a_step_of_its_own() -> None:
    calls = []

    class Mine(companion.SGD):
        def step(self, closure: Any = None) -> Any:
            calls.append("mine")
            return super().step(closure)

    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer = Mine([p], lr=0.5)
    optimizer.register_step_post_hook(lambda *args: calls.append("hook"))
    optimizer.step()
    assert calls[0] == "mine"
    assert "hook" in calls
    assert torch.equal(p.detach(), torch.full((2,), 0.5))
