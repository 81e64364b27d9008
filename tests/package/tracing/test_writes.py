"""Every way to write a gradient or a parameter is seen on its line."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from companion import trace
from companion.records.reading import Reading
from tests.package.tracing.watching import Loop, counts


@pytest.mark.parametrize(
    ("write", "parameters"),
    [
        (lambda p: p.data.mul_(2), 1),  # bumps no version counter
        (lambda p: p.data.copy_(p.data + 1), 1),
        (lambda p: p.detach().add_(1), 1),
        (lambda p: p.data.numpy().__imul__(2), 1),
        (lambda p: setattr(p, "data", p.data + 1), 1),
        (lambda p: p.data.flatten()[-1:].add_(1), 1),  # one entry
        (lambda p: p.data.copy_(p.data.flip(0)), 1),  # the same sum, the same norm
        (lambda p: p.data.mul_(1), 0),
        (lambda p: p.data.copy_(p.data.clone()), 0),
        (lambda p: setattr(p, "data", p.data.clone()), 0),
        (lambda p: p.data.set_(p.data + 1), 0),  # .data is another tensor: p keeps its own
    ],
)
def test_writes_to_a_parameter(
    loop: Loop, write: Callable[[nn.Parameter], object], parameters: int
) -> None:
    with trace(loop.net, loop.optimizer) as routine:
        write(loop.net[2].weight)
    (record,) = routine.records
    assert record.changed_parameters == ("2.weight",) * parameters
    assert record.changed_gradients == ()


@pytest.mark.parametrize(
    ("write", "changed"),
    [
        (lambda p: setattr(p, "grad", None), True),
        (lambda p: p.grad.zero_(), True),
        (lambda p: p.grad.data.mul_(2), True),
        (lambda p: setattr(p, "grad", p.grad.clone()), False),
        (lambda p: setattr(p, "grad", p.grad.to_sparse()), True),
        (lambda p: p.grad.mul_(1), False),
    ],
)
def test_writes_to_a_gradient(
    loop: Loop, write: Callable[[nn.Parameter], object], changed: bool
) -> None:
    loop.net(loop.inputs).sum().backward()
    with trace(loop.net, loop.optimizer) as routine:
        write(loop.net[2].weight)
    assert routine.records[0].changed_gradients == ("2.weight",) * changed
    assert routine.records[0].changed_parameters == ()


def test_replaced_added_and_removed_layers(loop: Loop) -> None:
    net: Any = loop.net
    with trace(net, loop.optimizer) as routine:
        net[2].weight = nn.Parameter(net[2].weight + 1)
        net.append(nn.Linear(2, 2))
        del net[3]
    replaced, added, removed = routine.records
    assert replaced.changed_parameters == ("2.weight",)
    assert added.changed_parameters == ("3.weight", "3.bias")
    assert removed.changed_parameters == ("3.weight", "3.bias")
    assert "3.weight" not in removed.after.parameters


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_layer_gets_its_values_in_the_forward() -> None:
    net = nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(net.parameters())
    with trace(net, optimizer) as routine:
        net(torch.ones(1, 3))
    assert routine.records[0].changed_parameters == ("0.weight", "0.bias")
    assert routine.records[0].before.parameters["0.weight"] is None


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16, torch.complex64], ids=str)
def test_a_network_that_changes_its_dtype(loop: Loop, dtype: torch.dtype) -> None:
    with trace(loop.net, loop.optimizer) as routine:
        loop.net.to(dtype)
        loop.net[0].weight.data.zero_()
        loop.net[0].weight.data.zero_()
    assert [len(r.changed_parameters) for r in routine.records] == [4, 1, 0]


def test_meta_parameters_have_no_values(loop: Loop) -> None:
    net = nn.Linear(2, 2, device="meta")
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        net.to_empty(device="cpu")
    assert routine.records[0].changed_parameters == ("weight", "bias")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_parameter_that_cannot_be_read_is_named(loop: Loop) -> None:
    net = nn.Linear(2, 2)
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    net.odd = nn.Parameter(nested)
    with pytest.raises(TypeError, match=r"cannot read odd .*Parameter"):
        trace(net, torch.optim.SGD(net.parameters())).__enter__()


def test_a_complex_nan_keeps_its_other_half(loop: Loop) -> None:
    net = nn.Linear(1, 1, bias=False, dtype=torch.complex64)
    net.weight.data.fill_(complex(math.nan, 1))
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        net.weight.data.fill_(complex(math.nan, 1))
        net.weight.data.fill_(complex(math.nan, 2))
    assert [len(r.changed_parameters) for r in routine.records] == [0, 1]


def test_records_can_be_pickled_and_copied(loop: Loop) -> None:
    with trace(loop.net, loop.optimizer) as routine:
        loop.net(loop.inputs).sum().backward()
    for again in pickle.loads(pickle.dumps(routine.records)), copy.deepcopy(routine.records):
        assert again == routine.records


def test_tied_weights_are_one(loop: Loop) -> None:
    net: Any = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    with trace(net, torch.optim.SGD(net.parameters())) as routine:
        net(loop.inputs).sum().backward()
    assert routine.records[0].changed_gradients == ("0.weight",)


def test_sparse_gradients() -> None:
    net = nn.Embedding(5, 2, sparse=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        net(torch.tensor([1, 1, 3])).sum().backward()
        optimizer.step()
        pass
    assert [len(r.changed_gradients) for r in routine.records] == [0, 1, 0, 0]
    assert [len(r.changed_parameters) for r in routine.records] == [0, 0, 1, 0]


def test_nan_and_inf_gradients_are_counted_and_do_not_change_by_themselves(loop: Loop) -> None:
    net, optimizer = loop.net, loop.optimizer
    with trace(net, optimizer) as routine:
        (net(loop.inputs) * math.inf).sum().backward()
        outputs = net(loop.inputs)
        outputs.sum()
    backward, forward, _ = routine.records
    assert len(backward.changed_gradients) == 4
    bias = backward.after.gradients["2.bias"]
    assert bias is not None
    assert bias.nonfinite == 2
    assert forward.changed_gradients == ()
    assert "not finite" in str(routine)


def test_weight_decay_moves_a_zero_gradient(loop: Loop) -> None:
    optimizer = torch.optim.SGD(loop.net.parameters(), lr=0.1, weight_decay=0.1)
    for p in loop.net.parameters():
        p.grad = torch.zeros_like(p)
    with trace(loop.net, optimizer) as routine:
        optimizer.step()
    assert len(routine.records[0].changed_parameters) == 4


def test_in_inference_mode_and_no_grad(loop: Loop) -> None:
    with torch.inference_mode(), trace(loop.net, loop.optimizer) as routine:
        loop.net(loop.inputs)
    with torch.no_grad(), trace(loop.net, loop.optimizer) as second:
        loop.net[0].weight.add_(1)
    assert counts(routine) == []
    assert second.records[0].changed_parameters == ("0.weight",)


def test_the_same_numbers_in_another_shape_are_a_change() -> None:
    net = nn.Linear(3, 2, bias=False)  # alone: it is all that is compared at once
    with trace(net) as routine:
        net.weight.data = net.weight.data.reshape(1, -1)
        net.weight.data = net.weight.data.reshape(1, -1)
    assert [one.changed_parameters for one in routine.records] == [("weight",), ()]


def test_a_gradient_that_comes_and_goes_is_a_change_each_time(loop: Loop) -> None:
    weight = loop.net[2].weight
    kept = torch.ones_like(weight)
    with trace(loop.net) as routine:
        for _ in range(2):
            weight.grad = kept
            weight.grad = None
    changes = [one for one in routine.records if "grad" in one.source]
    assert [one.changed_gradients for one in changes] == [("2.weight",)] * 4
    readings = [one.after.gradients["2.weight"] for one in changes]
    assert readings == [Reading(float(weight.numel()), weight.numel() ** 0.5, 0), None] * 2
