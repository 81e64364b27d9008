"""A guarded training is, bit for bit, the training alone, and ends as it would."""

from __future__ import annotations

import math
import operator
import os
import signal
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from companion import trace
from companion.tracing.guard.guard import Guard
from companion.tracing.guard.norms import Norms, gradients_of
from companion.tracing.measure.watched import Watched
from tests.package.tracing.guard.training import guarded, pair, train

pytestmark = pytest.mark.usefixtures("looking")


def small() -> tuple[Any, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1))
    return net, torch.optim.AdamW(net.parameters(), lr=0.01)


def step(net: Any, optimizer: torch.optim.Optimizer, times: float = 1.0) -> None:
    optimizer.zero_grad()
    (net(torch.randn(8, 4)).square().mean() * times).backward()
    optimizer.step()


@contextmanager
def traced(*watched: Any) -> Iterator[None]:
    with trace(*watched, steps=1):
        yield


AROUND: dict[str, Callable[..., Any]] = {"guard": guarded, "trace": traced}


@pytest.mark.parametrize("around", AROUND)
def test_bit_for_bit(around: str) -> None:
    left = []
    ways: list[Callable[..., Any]] = [AROUND[around], nullcontext]
    for one in ways:
        net, optimizer = pair()
        dropped, other = small()
        with one(net, dropped, optimizer, other) if one is not nullcontext else nullcontext():
            train(net, optimizer, 30)
            for _ in range(30):
                step(dropped, other)
        gradients = [p.grad for p in [*net.parameters(), *dropped.parameters()]]
        left.append([*net.parameters(), *dropped.parameters(), *gradients, torch.get_rng_state()])
    assert len(left[0]) == 2 * (10 + 4) + 1
    for mine, alone in zip(*left, strict=True):
        assert isinstance(mine, Tensor)
        assert torch.equal(mine, alone)


def test_no_graph_grows() -> None:
    net, optimizer = small()
    loss = net(torch.randn(8, 4)).square().mean()
    parameters = [*net.parameters()]
    for p, gradient in zip(
        parameters, torch.autograd.grad(loss, parameters, create_graph=True), strict=True
    ):
        p.grad = gradient
    assert all(p.grad.requires_grad for p in parameters)
    found = gradients_of(optimizer)
    assert len(found) == 4
    assert not any(gradient.requires_grad for _, gradient in found)


def test_nothing_is_kept_alive() -> None:
    net, optimizer = small()
    scaler = torch.amp.GradScaler("cpu")
    guard = Guard(Watched((net, optimizer, scaler), {}))
    guard.install()
    guard.begin()
    step(net, optimizer)
    scaler.scale(torch.ones(()))
    step(net, optimizer, math.nan)
    refs = [weakref.ref(one) for one in (net, optimizer, scaler, *net.parameters())]
    refs += [weakref.ref(p.grad) for p in net.parameters()]
    del net, optimizer, scaler
    try:
        assert [ref() for ref in refs] == [None] * (3 + 8)
    finally:
        guard.end()
    assert guard.sentences[0].startswith("AdamW, step 2: the gradient of 0.weight has NaN in it")


def test_modes_hear_of_nothing() -> None:
    class Hearing(TorchFunctionMode):
        heard = 0

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            type(self).heard += 1
            return function(*args, **(kwargs or {}))

    class Dispatched(TorchDispatchMode):
        heard = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            type(self).heard += 1
            return function(*args, **(kwargs or {}))

    for mode in Hearing, Dispatched:
        counts = []
        for one in guarded, nullcontext:
            mode.heard = 0
            net, optimizer = small()
            with one(net, optimizer) if one is guarded else nullcontext() as guard, mode():
                for _ in range(3):
                    step(net, optimizer)
            counts.append(mode.heard)
            assert guard is None or guard.checked == 3
        assert counts[0] == counts[1] > 0


def test_nothing_is_read_where_torch_records(monkeypatch: pytest.MonkeyPatch) -> None:
    net, optimizer = small()
    with guarded(net, optimizer) as guard:
        monkeypatch.setattr("companion.tracing.guard.guard.is_calm", lambda: False)
        step(net, optimizer, math.nan)
    assert (guard.steps, guard.checked, guard.sentences) == (1, 0, [])


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # torch.compile, on Python 3.13.0
def test_a_compiled_step() -> None:
    left = []
    for one in guarded, nullcontext:
        torch._dynamo.reset()
        net, optimizer = small()
        compiled = torch.compile(step, backend="eager")
        with one(net, optimizer) if one is guarded else nullcontext():
            for _ in range(4):
                compiled(net, optimizer)
        left.append([*net.parameters(), torch.get_rng_state()])
    for mine, alone in zip(*left, strict=True):
        assert torch.equal(mine, alone)


@pytest.mark.parametrize("where", ["gradients_of", "is_zero", "Norms"])
def test_our_own_failure_is_silent(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, optimizer = small()
    before = [p.clone() for p in net.parameters()]
    with guarded(net, optimizer) as guard:
        with monkeypatch.context() as broken:
            broken.setattr(
                f"companion.tracing.guard.one.{where}", operator.neg
            )  # of anything: TypeError
            step(net, optimizer)
        for _ in range(5):
            step(net, optimizer, math.nan)
    assert guard.steps == 1
    assert guard.sentences == []
    assert not any(map(torch.equal, before, net.parameters()))


def test_an_exception_of_a_signal_passes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(number: int, frame: Any) -> None:
        raise ValueError("deadline")

    net, optimizer = small()
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with guarded(net, optimizer) as guard:
            with monkeypatch.context() as interrupted:
                interrupted.setattr(
                    "companion.tracing.guard.guard.is_calm",
                    lambda: signal.raise_signal(signal.SIGTERM),
                )
                with pytest.raises(ValueError, match="deadline") as caught:
                    step(net, optimizer)
            for _ in range(2):
                step(net, optimizer, math.nan)
    finally:
        signal.signal(signal.SIGTERM, before)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "handler"
    assert "_look" not in names
    assert guard.sentences != []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_is_not_guarded() -> None:
    net, optimizer = small()
    with guarded(net, optimizer) as guard:
        step(net, optimizer)
        child = os.fork()
        if not child:
            code = 9
            try:
                step(net, optimizer, math.nan)
                guard.end()
                code = guard.checked + len(guard.sentences)
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_autocast_changes_no_norm(dtype: torch.dtype) -> None:
    tensors = [torch.randn(99).to(dtype), torch.full((3,), 300.0, dtype=dtype)]
    alone = Norms(tensors).values()
    with torch.autocast("cpu", torch.bfloat16):
        assert Norms(tensors).values() == alone
    assert alone[1] == pytest.approx(300 * math.sqrt(3), rel=1e-6)
