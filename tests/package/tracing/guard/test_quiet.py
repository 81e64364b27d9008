"""No word of a training that is right, of whatever kind."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from companion import Net
from companion.tracing.guard.guard import Guard
from companion.tracing.guard.judges import APART, FIRST
from tests.package.tracing.guard.conftest import Looking
from tests.package.tracing.guard.training import batch, guarded, pair, scaled, train

pytestmark = pytest.mark.usefixtures("looking")


def schedule(name: str, optimizer: torch.optim.Optimizer) -> Any:
    if name == "warm-up":  # from 0, as linear ones do
        return lr_scheduler.LambdaLR(optimizer, lambda i: min(1.0, i / 10))
    if name == "cosine":  # 0 at the 61st step, which there is
        return lr_scheduler.CosineAnnealingLR(optimizer, 60)
    if name == "to and fro":  # 0 at one step in twenty
        return lr_scheduler.LambdaLR(optimizer, lambda i: abs(i % 20 - 10) / 10)
    return None


@pytest.mark.parametrize("name", ["none", "warm-up", "cosine", "to and fro"])
def test_schedules(name: str) -> None:
    net, optimizer = pair()
    with guarded(net, optimizer) as guard:
        train(net, optimizer, 61, schedule(name, optimizer))
    assert guard.seen == []
    assert guard.checked == guard.steps == 61


def test_learning_rates_of_0_for_a_while() -> None:
    """Fewer looks than prove that it stays there."""
    net, optimizer = pair()
    with guarded(net, optimizer) as guard:
        for rate in 0.0, 0.1, 0.0, 0.1:
            optimizer.param_groups[0]["lr"] = rate
            train(net, optimizer, APART)
    assert guard.seen == []


def test_nothing_is_stepped() -> None:
    net, optimizer = pair(lr=0.0)
    with guarded(net, optimizer) as guard:
        for _ in range(30):
            optimizer.step()
    assert (guard.steps, guard.checked, guard.seen) == (30, 0, [])


def test_gradients_that_grow_from_small_ones() -> None:
    """Far above the median, not above all that was seen; or from all zeros; or soon."""
    for norms in (
        [1.0] * 20 + [1e-6] * 80 + [5.0],
        [0.0] * 100 + [1.0],
        [1.0] * (FIRST - 1) + [1e9],
        [1.0] * 100 + [999.0],
    ):
        weight = nn.Parameter(torch.ones(1))
        net = nn.ParameterList([weight])
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with guarded(net, optimizer) as guard:
            for norm in norms:
                weight.grad = torch.tensor([norm])
                optimizer.step()
        assert guard.checked == len(norms)
        assert guard.seen == []


def test_accumulation() -> None:
    net, optimizer = pair()
    with guarded(net, optimizer) as guard:
        for i in range(120):
            inputs, labels = batch(i)
            (functional.cross_entropy(net(inputs), labels) / 4).backward()
            if i % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    assert (guard.steps, guard.checked, guard.seen) == (30, 30, [])


@pytest.mark.parametrize("unscaled", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_amp(fused: bool, unscaled: bool) -> None:
    """Some steps are skipped; a fused optimizer is called then, too, and with scaled gradients."""
    net, optimizer = pair(fused=fused)
    scaler = torch.amp.GradScaler("cpu", growth_interval=5)
    skipped = 0
    with guarded(net, optimizer, scaler) as guard:
        for i in range(90):
            inputs, labels = batch(i)
            optimizer.zero_grad()
            with torch.autocast("cpu"):
                loss = functional.cross_entropy(net(inputs), labels)
            scaler.scale(loss * math.inf if i % 10 == 9 else loss).backward()
            if unscaled:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(optimizer)
            before = scaler.get_scale()
            scaler.update()
            skipped += scaler.get_scale() < before
    assert skipped == 9
    assert guard.seen == []
    assert (guard.checked == 0) == fused
    assert guard.steps > 40


def test_a_scale_that_somebody_else_sets(looking: Looking) -> None:
    """Downward as no skipped step would, and upward; and few skipped steps below 1."""
    net, optimizer = pair()
    scaler = torch.amp.GradScaler("cpu")
    with guarded(net, optimizer, scaler) as guard:
        for i, scale in enumerate([1000.0, 0.3, 1000.0, 0.3, 1.0, 2.0**-9]):
            inputs, labels = batch(i)
            optimizer.zero_grad()
            scaler.scale(functional.cross_entropy(net(inputs), labels)).backward()
            scaler.step(optimizer)
            scaler.update(scale)
    assert guard.seen == []


def test_a_search_from_far_above() -> None:
    """Most steps are skipped, in a row; where that ends there is a scale that fits."""
    net, optimizer = pair()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    with guarded(net, optimizer, scaler) as guard:
        scaled(net, optimizer, scaler, range(30), range(2, 27))
    assert scaler.get_scale() == 2.0**15
    assert (guard.steps, guard.seen) == (5, [])


def test_two_networks_that_play() -> None:
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    critic = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    ours = torch.optim.Adam(generator.parameters(), lr=1e-3)
    theirs = torch.optim.Adam(critic.parameters(), lr=1e-3)
    with guarded(generator, critic, ours, theirs) as guard:
        for _ in range(100):
            fake = generator(torch.randn(16, 4))
            theirs.zero_grad()
            (critic(fake.detach()).mean() - critic(torch.randn(16, 2)).mean()).backward()
            theirs.step()
            ours.zero_grad()
            (-critic(fake).mean()).backward()
            ours.step()
    assert (guard.steps, guard.checked, guard.seen) == (200, 200, [])


def test_a_closure() -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5)
    inputs = torch.randn(32, 4)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = functional.mse_loss(net(inputs), inputs.sum(1, keepdim=True))
        loss.backward()
        return loss

    with guarded(net, optimizer) as guard:
        for _ in range(60):
            optimizer.step(closure)
    assert (guard.steps, guard.checked, guard.seen) == (60, 60, [])


class Odd(Tensor):
    pass


def odd_ones() -> list[nn.Parameter]:
    return [
        nn.Parameter(torch.ones(2, dtype=torch.complex64)),
        nn.Parameter(torch.ones(2).as_subclass(Odd)),
        nn.Parameter(torch.ones(2, device="meta")),
        nn.Parameter(torch.empty(0)),
    ]


def test_gradients_that_are_not_dense() -> None:
    """Complex, of a type of somebody's own, elsewhere: left alone with NaN in them; and sparse."""
    net = nn.Embedding(9, 2, sparse=True)
    plain = nn.Parameter(torch.ones(2))
    rest = nn.ParameterList([*odd_ones(), plain])
    odd = [parameter for parameter in rest.parameters() if parameter is not plain]
    optimizer = torch.optim.SGD([*net.parameters(), *rest.parameters()], lr=0.1)
    with guarded(net, rest, optimizer) as guard:
        for i in range(20):
            optimizer.zero_grad()
            net(torch.tensor([i % 9, 0])).sum().backward()
            for parameter in odd:
                parameter.grad = torch.full_like(parameter, math.nan)
            plain.grad = torch.full_like(plain, math.nan).as_subclass(Odd)
            optimizer.step()
            plain.data.zero_()  # at the end it is looked at
    assert (guard.steps, guard.checked, guard.seen) == (20, 0, [])


def test_a_step_in_another_thread_or_of_another_optimizer() -> None:
    import threading

    net, optimizer = pair(lr=0.0)
    other = torch.optim.SGD(net.parameters(), lr=0.0)
    with guarded(net, optimizer) as guard:
        thread = threading.Thread(target=train, args=(net, optimizer, 12))
        thread.start()
        thread.join()
        train(net, other, 12)
    assert (guard.steps, guard.seen) == (0, [])


def test_half_precision_below_the_fifties() -> None:
    net = Net().to(torch.bfloat16)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with warnings.catch_warnings(), guarded(net, optimizer) as guard:
        for i in range(60):
            inputs, labels = batch(i)
            optimizer.zero_grad()
            functional.cross_entropy(net(inputs.bfloat16()).float(), labels).backward()
            optimizer.step()
    assert (guard.checked, guard.seen) == (60, [])


def test_a_guard_that_has_not_begun(looking: Looking) -> None:
    """It only counts, so that a step's number is the training's."""
    from companion.tracing.measure.watched import Watched

    net, optimizer = pair()
    guard = Guard(Watched((net, optimizer), {}))
    guard.install()
    train(net, optimizer, 5, change=lambda loss, i: loss * math.nan)
    guard.begin()
    train(net, optimizer, 1)
    guard.end()
    (seen,) = guard.seen
    assert (seen.step, seen.exact, guard.steps, guard.checked) == (6, False, 1, 1)
