"""Writes that no version counter shows are seen where they happen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from companion import trace
from tests.package.tracing.measure.layers import BOTH, SIZES, grad, graded, linear, moved


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_fused_optimizers(size: int, kind: Any) -> None:
    net = linear(size)
    optimizer = kind(net.parameters(), lr=0.1, fused=True)
    net(torch.ones(1, size)).sum().backward()
    versions = [p._version for p in net.parameters()]
    with trace(net, optimizer) as routine:
        optimizer.step()
        len(versions)
    assert [p._version for p in net.parameters()] == versions  # it would be too easy
    assert moved(routine) == [BOTH, ()]
    assert graded(routine) == [(), ()]


@pytest.mark.parametrize("size", SIZES)
def test_a_fused_optimizer_that_nobody_named(size: int) -> None:
    net = linear(size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, fused=True)
    net(torch.ones(1, size)).sum().backward()
    with trace(net) as routine:
        optimizer.step()
    assert moved(routine) == [BOTH]


@pytest.mark.parametrize("size", SIZES)
def test_a_fused_optimizer_that_scales_the_gradients(size: int) -> None:
    """GradScaler leaves the unscaling to it: it writes into .grad too."""
    net = linear(size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with trace(net, optimizer, scaler) as routine:
        scaler.scale(net(torch.ones(1, size)).sum()).backward()
        scaler.step(optimizer)
    before, after = (r.after.gradients["weight"] for r in routine.records)
    assert before is not None
    assert after is not None
    changed = before != after
    assert (routine.records[1].changed_gradients == BOTH) == changed
    assert routine.records[1].changed_parameters == BOTH


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("foreach", [False, True])
def test_nesterov(size: int, foreach: bool) -> None:
    """With foreach it adds the momentum into .grad itself."""
    net = linear(size)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.1, momentum=0.9, nesterov=True, foreach=foreach
    )
    net(torch.ones(1, size)).sum().backward()
    before = [grad(p).clone() for p in net.parameters()]
    with trace(net, optimizer) as routine:
        optimizer.step()
    changed = not all(map(torch.equal, before, [grad(p) for p in net.parameters()]))
    assert graded(routine) == [BOTH if changed else ()]
    assert moved(routine) == [BOTH]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "alias",
    [
        lambda p: p.data,
        lambda p: p.detach(),
        lambda p: p.data.view(-1),
        lambda p: torch.from_numpy(p.detach().numpy()),
        lambda p: torch.utils.dlpack.from_dlpack(p.detach()),
        lambda p: p.data[1:],
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_an_alias_from_an_earlier_line(
    size: int, alias: Callable[[Tensor], Tensor], inside: bool
) -> None:
    """Made before the trace, or in one of its lines."""
    net = linear(size)
    w = torch.zeros(0) if inside else alias(net.weight)
    with trace(net) as routine:
        if inside:
            w = alias(net.weight)
        len(BOTH)
        w.mul_(2)
        len(BOTH)
        w.mul_(1)
    writes = [r.changed_parameters for r in routine.records if r.source.startswith("w.mul_")]
    assert writes == [("weight",), ()]
    assert sum(map(bool, moved(routine))) == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", ["storage", "untyped", "numpy", "memoryview"])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_memory_held_by_something_that_is_no_tensor(size: int, what: str, inside: bool) -> None:
    net = linear(size)

    def reach() -> Callable[[], object]:
        p = net.weight
        if what == "storage":
            typed = p.storage()
            return lambda: typed.fill_(0)
        if what == "untyped":
            untyped: Any = p.untyped_storage()
            return lambda: untyped.fill_(0)
        array: Any = p.detach().numpy()
        if what == "numpy":
            return lambda: array.__imul__(0)
        view = memoryview(array).cast("B")
        return lambda: np.frombuffer(view, np.uint8).__imul__(0)

    write: Callable[[], object] = list if inside else reach()
    with trace(net) as routine:
        if inside:
            write = reach()
        len(BOTH)
        write()
        len(BOTH)
    assert [r.source for r in routine.records if r.changed_parameters] == ["write()"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inside", [False, True])
def test_one_flat_buffer(size: int, inside: bool) -> None:
    net = linear(size)
    flat = torch.cat([p.detach().reshape(-1) for p in net.parameters()])

    def flatten() -> None:
        start = 0
        for p in net.parameters():
            p.data = flat[start : start + p.numel()].view_as(p)
            start += p.numel()

    if not inside:
        flatten()
    with trace(net) as routine:
        if inside:
            flatten()
        flat.add_(1)
        flat[-1].add_(1)
        flat.add_(0)
        net.weight.data[0, 0] = 7
    writes = [r.changed_parameters for r in routine.records if r.source.startswith(("fl", "net"))]
    assert writes == [()] * inside + [BOTH, ("bias",), (), ("weight",)]


@pytest.mark.parametrize("size", SIZES)
def test_a_flat_buffer_after_a_counted_write_in_the_same_line(size: int) -> None:
    net = linear(size)
    flat = torch.zeros(size * size + size)

    def write_and_flatten() -> None:
        with torch.no_grad():
            net.weight.mul_(2)
        flatten()

    def flatten() -> None:
        net.weight.data = flat[: size * size].view(size, size)
        net.bias.data = flat[size * size :]

    with trace(net) as routine:
        write_and_flatten()
        flat.add_(1)
    assert moved(routine) == [BOTH, BOTH]


@pytest.mark.parametrize("size", SIZES)
def test_gradients_that_are_views_of_one_buffer(size: int) -> None:
    net = linear(size)
    flat = torch.zeros(size * size + size)
    net.weight.grad = flat[: size * size].view(size, size)
    net.bias.grad = flat[size * size :]
    with trace(net) as routine:
        net(torch.ones(1, size)).sum().backward()
        flat.mul_(0.5)
        flat[0] = 9
        flat.mul_(1)
        net.zero_grad(set_to_none=False)
    assert graded(routine) == [BOTH, BOTH, ("weight",), (), BOTH]


@pytest.mark.parametrize("size", SIZES)
def test_gradients_that_share_their_memory(size: int) -> None:
    net = linear(size)
    shared = torch.ones(size, size)
    net.other = nn.Parameter(torch.zeros(size, size))
    net.weight.grad = shared
    net.other.grad = shared.view(size, size)
    with trace(net) as routine:
        grad(net.weight).mul_(2)
    assert set(graded(routine)[0]) == {"weight", "other"}


@pytest.mark.parametrize("size", SIZES)
def test_gradients_that_are_not_contiguous(size: int) -> None:
    net = linear(size)
    net.weight.grad = torch.ones(size, 2 * size)[:, ::2]
    with trace(net) as routine:
        grad(net.weight).t_()
        grad(net.weight)[0, 1] = 3
        grad(net.weight).mul_(1)
    assert graded(routine)[1:] == [("weight",), ()]


@pytest.mark.parametrize("size", SIZES)
def test_shared_memory(size: int) -> None:
    net = linear(size)
    with trace(net) as routine:
        net.share_memory()
        net.weight.data.mul_(2)
        len(BOTH)
    assert moved(routine) == [(), ("weight",), ()]


@pytest.mark.parametrize("size", SIZES)
def test_uncounted_writes_of_another_thread_into_shared_memory(size: int) -> None:
    """Hogwild: no line of this thread says `.data`."""
    net = linear(size).share_memory()

    def work() -> None:
        go.wait(10)
        net.weight.data.mul_(2)
        done.set()

    go, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    with trace(net) as routine:
        len(BOTH)
        done.wait(10 + bool(go.set()))  # type: ignore[func-returns-value]
        len(BOTH)
    thread.join(10)
    assert moved(routine) == [(), ("weight",), ()]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("line", ["unscale_", "step"])
def test_a_grad_scaler_divides_the_gradients(size: int, line: str) -> None:
    """What it does that with counts no write."""
    net = linear(size)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(net(torch.ones(1, size)).sum()).backward()
    versions = [grad(p)._version for p in net.parameters()]
    with trace(net, sgd, scaler) as routine:
        scaler.unscale_(sgd) if line == "unscale_" else scaler.step(sgd)
        len(BOTH)
    assert [grad(p)._version for p in net.parameters()] == versions  # it would be too easy
    assert graded(routine) == [BOTH, ()]
    assert moved(routine) == [() if line == "unscale_" else BOTH, ()]
