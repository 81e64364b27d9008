"""What counts as a change: the values, whatever kind of tensor holds them, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from companion import trace
from companion.records.reading import Reading
from tests.package.tracing.measure.layers import BOTH, SIZES, grad, graded, linear, moved


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
