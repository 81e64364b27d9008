"""What happens in a step: closures, hooks, a profiler, a class with a step of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import optimizer as torch_optimizer

import companion
from tests.package.optim.twins import each_optimizer


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
