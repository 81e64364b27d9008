"""What counts as a change: the values, whichever way they were written, and nothing else."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from companion import Trace, trace
from companion.measure.pack import SMALL, Pack, packs
from companion.measure.read import read
from companion.measure.read_all import read_all
from companion.records.reading import Reading

SIZES = [pytest.param(3, id="small"), pytest.param(64, id="large")]  # 9 entries, and 4096
BOTH = ("weight", "bias")


def linear(size: int = 64) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(size, size)


def moved(routine: Trace) -> list[tuple[str, ...]]:
    return [r.changed_parameters for r in routine.records]


def graded(routine: Trace) -> list[tuple[str, ...]]:
    return [r.changed_gradients for r in routine.records]


def grad(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad


# Writes that no version counter shows


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


# Other objects, other kinds


@pytest.mark.parametrize("size", SIZES)
def test_another_parameter_object(size: int) -> None:
    net = linear(size)
    with trace(net) as routine:
        net.weight = nn.Parameter(net.weight.detach().clone())
        net.weight = nn.Parameter(net.weight.detach() + 1)
        net.weight.data.mul_(2)
    assert moved(routine) == [(), ("weight",), ("weight",)]


@pytest.mark.parametrize("size", SIZES)
def test_swapped_tensors(size: int) -> None:
    net, other = linear(size), nn.Parameter(torch.ones(size, size))
    same = nn.Parameter(net.weight.detach().clone())
    with trace(net) as routine:
        torch.utils.swap_tensors(net.weight, same)
        torch.utils.swap_tensors(net.weight, other)
        len(BOTH)
    assert moved(routine) == [(), ("weight",), ()]


@pytest.mark.parametrize("size", SIZES)
def test_vector_to_parameters(size: int) -> None:
    net = linear(size)
    vector = nn.utils.parameters_to_vector(net.parameters()).detach()
    with trace(net) as routine:
        nn.utils.vector_to_parameters(vector, net.parameters())
        nn.utils.vector_to_parameters(vector * 2, net.parameters())
        with torch.no_grad():
            vector.add_(1)  # is not theirs any more
    assert [r.source for r in routine.records if r.changed_parameters] == [
        "nn.utils.vector_to_parameters(vector * 2, net.parameters())"
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("assign", [False, True])
def test_load_state_dict(size: int, assign: bool) -> None:
    net = linear(size)
    same = {name: one.clone() for name, one in net.state_dict().items()}
    other = {**same, "bias": same["bias"] + 1}
    with trace(net) as routine:
        net.load_state_dict(same, assign=assign)
        net.load_state_dict(other, assign=assign)
    assert moved(routine) == [(), ("bias",)]


def test_half_and_back() -> None:
    net = linear()
    with trace(net) as routine:
        net.half()
        net.float()
        net.float()
    assert moved(routine) == [BOTH, BOTH, ()]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_writes_where_autograd_does_not_look(size: int, mode: Any) -> None:
    net = linear(size)
    with mode(), trace(net) as routine:
        net.weight.mul_(2)
        net.weight.mul_(1)
        net.weight.copy_(net.weight.flip(0))
        net.weight.grad = torch.ones_like(net.weight)
        grad(net.weight).mul_(2)
        len(BOTH)
    assert moved(routine)[:2] == [("weight",), ()]
    if size < 32:  # above 1024 entries the same sum and norm count as the same values
        assert moved(routine)[2] == ("weight",)
    assert graded(routine)[3:] == [("weight",), ("weight",), ()]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
        torch.complex64, torch.int32, torch.uint8,
    ],
    ids=str,
)  # fmt: skip
def test_permutations_of_small_tensors(dtype: torch.dtype) -> None:
    """The same sum and the same norm, and other values all the same."""
    values = torch.tensor([1.0, 2.0, 4.0, 8.0]).to(dtype)
    net = nn.Linear(1, 1)
    net.odd = nn.Parameter(values.clone(), requires_grad=False)  # nobody else holds it
    swapped = torch.tensor([8.0, 4.0, 2.0, 1.0]).to(dtype)
    with trace(net) as routine, torch.no_grad():
        net.odd.copy_(swapped)
        net.odd.copy_(swapped)
    assert [r.changed_parameters for r in routine.records] == [("odd",), ()]


@pytest.mark.parametrize("size", SIZES)
def test_writes_that_change_nothing(size: int) -> None:
    net = linear(size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    net(torch.ones(1, size)).sum().backward()
    with trace(net, optimizer) as routine:
        optimizer.step()
        with torch.no_grad():
            net.weight.mul_(1)
            net.weight.copy_(net.weight.clone())
            net.weight.clamp_(-100, 100)
        grad(net.weight).mul_(1)
        grad(net.weight).add_(0)
        nn.utils.clip_grad_norm_(net.parameters(), 1e9)
    assert not any(moved(routine))
    assert not any(graded(routine))
    assert len({id(r.after) for r in routine.records}) == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_that_stay(size: int, value: float) -> None:
    net = linear(size)
    with torch.no_grad():
        net.weight[0, 0] = value
    with trace(net) as routine, torch.no_grad():
        net.weight.mul_(1)
        net.weight.data.mul_(1)
        net.weight[1, 1] = 5
        net.weight[0, 0] = value
        net.weight[0, 0] = -value
        net.weight[0, 0] = 1
    changed = moved(routine)
    assert changed[:4] == [(), (), ("weight",), ()]
    assert changed[4:] == [() if math.isnan(value) else ("weight",), ("weight",)]


@pytest.mark.parametrize("size", SIZES)
def test_values_whose_squares_no_float_can_hold(size: int) -> None:
    """The norm is infinite before and after, and the sum may be 0."""
    net = nn.Linear(size, size, dtype=torch.float64)
    with torch.no_grad():
        net.weight.zero_()
        net.weight[0, 0], net.weight[0, 1] = 1e300, -1e300
    with trace(net) as routine, torch.no_grad():
        net.weight.mul_(2)
        net.weight.mul_(1)
        net.weight.mul_(-1)
    assert moved(routine) == [("weight",), (), ("weight",)]


def test_tensors_without_entries() -> None:
    net = nn.Linear(3, 2)
    net.none = nn.Parameter(torch.zeros(0, 5))
    with trace(net) as routine:
        net.none.grad = torch.zeros(0, 5)
        net.none.data.mul_(2)
        net.none = nn.Parameter(torch.zeros(2, 0))
        net.none.grad = None
    assert moved(routine)[:2] == [(), ()]
    assert graded(routine)[0] == ("none",)
    assert routine.records[0].after.gradients["none"] == Reading(0.0, 0.0, 0)


@pytest.mark.parametrize("size", SIZES)
def test_expanded_tensors(size: int) -> None:
    net = linear(size)
    net.weight.grad = torch.ones(1).expand(size, size)
    with trace(net) as routine:
        net.weight.grad = torch.full((1,), 2.0).expand(size, size)
        net.weight.grad = torch.full((1, 1), 2.0).expand(size, size)
        net.weight.grad._base.add_(1)  # type: ignore[union-attr]
    assert graded(routine) == [("weight",), (), ("weight",)]
    reading = routine.records[-1].after.gradients["weight"]
    assert reading is not None
    assert reading.sum == 3 * size * size


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantised_and_mkldnn_parameters() -> None:
    net = nn.Linear(2, 2)
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    quantised = torch.quantize_per_tensor(values, 0.5, 0, torch.qint8)
    net.q = nn.Parameter(quantised, requires_grad=False)
    net.m = nn.Parameter(values.to_mkldnn(), requires_grad=False)
    with trace(net) as routine:
        len(BOTH)
        net.q.copy_(values.flip(0))
        net.q.copy_(values.flip(0))
        net.m.mul_(2)
    assert moved(routine) == [(), ("q",), (), ("m",)]


def test_sparse_gradients() -> None:
    net = linear(3)
    with trace(net) as routine:
        net.weight.grad = torch.eye(3).to_sparse()
        grad(net.weight).mul_(1)
        grad(net.weight).mul_(2)
        len(BOTH)
        net.weight.grad = 2 * torch.eye(3)
    assert graded(routine) == [("weight",), (), ("weight",), (), ("weight",)]


def test_meta_and_lazy() -> None:
    lazy, meta = nn.LazyLinear(2), nn.Linear(2, 2, device="meta")
    with trace(lazy, meta) as routine:
        lazy(torch.ones(1, 3))
        meta.to_empty(device="cpu")
        lazy.weight.data.add_(1)
        meta.to("meta")
    assert moved(routine) == [
        ("lazy.weight", "lazy.bias"),
        ("meta.weight", "meta.bias"),
        ("lazy.weight",),
        ("meta.weight", "meta.bias"),
    ]
    assert routine.records[-1].after.parameters["meta.weight"] is None


@pytest.mark.parametrize("size", SIZES)
def test_a_gradient_cleared_and_computed_again_in_one_line(size: int) -> None:
    """At the same address, with the same version: the memory is another one all the same."""
    net = linear(size)

    def again(scale: float) -> None:
        net.zero_grad()
        (net(torch.ones(1, size)) * scale).sum().backward()

    again(1)
    with trace(net) as routine:
        for i in range(2, 6):
            again(i)
            again(i)
    called = [r.changed_gradients for r in routine.records if r.source == "again(i)"]
    assert called == [BOTH, ()] * 4


def test_a_new_alias_does_not_outlive_its_copies() -> None:
    """Once the alias is gone, an uncounted write is impossible, and no copy is kept."""
    net = linear()
    tracer: Any = trace(net)
    with tracer:
        w = net.weight.data
        len(BOTH)
        kept = tracer._follower._recorder._meter._parameters["weight"].copy
        del w
        len(BOTH)
        dropped = tracer._follower._recorder._meter._parameters["weight"].copy
    assert kept is not None
    assert dropped is None


# `read_all` against `read`

SCALES = [1.0, 1e-3, 1e-19, 1e-22, 1e-30, 1e-44, 1e18, 1e20, 1e30, 1e38, 0.0, 1e-160, 1e200]
DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64,
    torch.float8_e4m3fn, torch.int64,
]  # fmt: skip


def bounds(tensor: Tensor) -> tuple[float, float]:
    """How far sum and norm may be off, relative to the sum of the absolute values and the norm.

    A sum of n numbers in precision u is off by at most (n - 1) u sum |x| whatever the order;
    torch adds in blocks, so that far less is seen. The norm's squares add another 2 u, the root
    halves it; half precision is accumulated in float32 after an exact conversion.
    """
    u = 2.0**-53 if tensor.dtype in (torch.float64, torch.complex64, torch.int64) else 2.0**-24
    u = 2.0**-53 if tensor.dtype == torch.float8_e4m3fn else u
    n = max(tensor.numel(), 1)
    return n * u, (n / 2 + 2) * u


@settings(max_examples=150, deadline=None)
@given(
    shape=st.lists(st.integers(0, 40), max_size=3),
    dtype=st.sampled_from(DTYPES),
    scale=st.sampled_from(SCALES),
    seed=st.integers(0, 2**31),
    strided=st.booleans(),
    odd=st.sampled_from([None, None, None, math.nan, math.inf]),
)
def test_read_all_reads_as_read_does(
    shape: list[int],
    dtype: torch.dtype,
    scale: float,
    seed: int,
    strided: bool,
    odd: float | None,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
    if odd is not None and values.numel():
        values.view(-1)[0] = odd
    if strided and values.dim() > 1:
        values = values.transpose(0, -1)
    tensor = values.to(dtype) if dtype != torch.int64 else values.clamp(-9, 9).nan_to_num().long()
    (fast,), exact = read_all([tensor]), read(tensor)
    assert fast is not None
    assert exact is not None
    compare(tensor, fast, exact)
    if packs(tensor):
        (packed,) = Pack([tensor]).readings([tensor])
        assert packed is not None
        compare(tensor, packed, exact)


def compare(tensor: Tensor, fast: Reading, exact: Reading) -> None:
    assert fast.nonfinite == exact.nonfinite
    if exact.nonfinite or not math.isfinite(exact.norm):
        assert math.isnan(fast.norm) == math.isnan(exact.norm)
        return
    off_sum, off_norm = bounds(tensor)
    size = tensor.detach().abs().double().sum().item() if tensor.numel() else 0.0
    assert abs(fast.sum - exact.sum) <= off_sum * size + 1e-300
    assert abs(fast.norm - exact.norm) <= off_norm * exact.norm + 1e-300
    assert (fast.norm == 0) == (exact.norm == 0)


def test_read_all_of_many_at_once() -> None:
    tensors = [
        torch.full((n,), 2.0**e) for n in (1, 3, SMALL, SMALL + 1) for e in range(-140, 127, 9)
    ]
    for tensor, reading in zip(tensors, read_all(tensors), strict=True):
        n, value = tensor.numel(), tensor[0].item()
        assert reading is not None
        assert reading.sum == pytest.approx(n * value, rel=n * 2.0**-24)
        assert reading.norm == pytest.approx(math.sqrt(n) * value, rel=n * 2.0**-24)
    assert read_all([]) == []
    assert read_all([torch.empty(2, device="meta")]) == [None]


def test_read_all_needs_no_graph_and_leaves_none() -> None:
    p = nn.Parameter(torch.ones(2000))
    loss = p.square().sum()
    version = p._version
    read_all([p, loss])
    loss.backward()
    assert p._version == version
