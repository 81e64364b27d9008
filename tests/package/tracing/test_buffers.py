"""Buffers are watched as parameters are, and so is all that a watched optimizer holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion import Trace, trace

STATISTICS = ["running_mean", "running_var", "num_batches_tracked"]


def moved(routine: Trace) -> list[tuple[str, tuple[str, ...]]]:
    return [(r.source, r.changed_buffers) for r in routine.records if r.changed_buffers]


def test_a_batch_norm_moves_its_statistics_in_the_forward() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    inputs = torch.randn(8, 2)
    with trace(net, optimizer) as routine:
        outputs = net(inputs)
        outputs.sum().backward()
        optimizer.step()
        net.eval()
        outputs = net(inputs)
    assert moved(routine) == [("outputs = net(inputs)", tuple(f"1.{one}" for one in STATISTICS))]
    (first, *_, last) = routine.records
    assert first.before.buffers["1.running_mean"] != first.after.buffers["1.running_mean"]
    assert last.after.buffers == first.after.buffers
    tracked = first.after.buffers["1.num_batches_tracked"]
    assert tracked is not None
    assert tracked.sum == 1
    assert outputs.shape == (8, 3)


@pytest.mark.parametrize("size", [4, 2000])
def test_where_torch_counts_no_write(size: int) -> None:
    """Each way that a batch norm of torch's can be called."""
    mean, var = torch.zeros(size), torch.ones(size)
    net = nn.Linear(1, 1)
    net.register_buffer("mean", mean)
    net.register_buffer("var", var)
    layer = nn.InstanceNorm1d(size, track_running_stats=True)
    net.norm = layer
    inputs = torch.randn(6, size)
    with trace(net) as routine:
        F.batch_norm(inputs, mean, var, training=True)
        layer(inputs[None].transpose(1, 2))
        mean.data.add_(1)
        mean.mul_(2)
    assert moved(routine) == [
        ("F.batch_norm(inputs, mean, var, training=True)", ("mean", "var")),
        ("layer(inputs[None].transpose(1, 2))", ("norm.running_mean", "norm.running_var")),
        ("mean.data.add_(1)", ("mean",)),
        ("mean.mul_(2)", ("mean",)),
    ]


class Average(nn.Module):
    """One that makes its buffer anew in each call."""

    shadow: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.register_buffer("shadow", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)
        self.shadow = 0.9 * self.shadow + 0.1 * out.detach().mean(0)
        return out


def test_a_buffer_made_anew() -> None:
    net = Average()
    x = torch.randn(4, 2)
    with trace(net) as routine:
        net(x)
        net.shadow = net.shadow.clone()
        net.register_buffer("late", torch.ones(1))
        del net.shadow
    assert moved(routine) == [
        ("net(x)", ("shadow",)),
        ('net.register_buffer("late", torch.ones(1))', ("late",)),
        ("del net.shadow", ("shadow",)),
    ]
    assert routine.records[-1].after.buffers.keys() == {"late"}


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # torch.compile, on Python 3.13.0
def test_a_compiled_norm() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3))
    x = torch.randn(8, 3)
    compiled: Any = torch.compile(net, backend="eager")
    with trace(net) as routine:
        compiled(x)
        compiled(x)
    assert len(moved(routine)) == 2


def test_tensors_that_an_optimizer_holds_beside_the_network() -> None:
    """As SAC's temperature, and the weights of several losses."""
    net, critic = nn.Linear(2, 1), nn.Linear(2, 1)
    log_alpha = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD(
        [*net.parameters(), log_alpha, *critic.parameters(), torch.ones(3, requires_grad=True)],
        lr=0.1,
    )
    x = torch.ones(4, 2)
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        loss = (net(x) * log_alpha.exp() + critic(x)).mean()
        loss.backward()
        optimizer.step()
    names = (
        "weight", "bias", "optimizer.log_alpha", "critic.weight", "critic.bias",
        "optimizer.params[5]",
    )  # fmt: skip
    (_, forward, backward, step) = routine.records
    assert tuple(step.after.parameters) == names
    assert forward.values[0].unreached == ("optimizer.params[5]",)
    assert backward.changed_gradients == names[:-1]
    assert step.changed_parameters == names[:-1]
    assert step.events[0].details["held"] == names
    assert routine.diagnose() == []
    assert loss.requires_grad


def test_an_optimizer_of_such_tensors_alone() -> None:
    net = nn.Linear(2, 1).requires_grad_(False)
    image = torch.zeros(3, 2, requires_grad=True)
    optimizer = torch.optim.Adam([image], lr=0.1)
    with trace(net, optimizer) as routine:
        for _ in range(2):
            optimizer.zero_grad()
            loss = net(image).square().sum()
            loss.backward()
            optimizer.step()
    steps = [record for record in routine.records if record.source == "optimizer.step()"]
    assert [record.changed_parameters for record in steps] == 2 * [("optimizer.image",)]
    assert [record.step for record in steps] == [0, 1]
    assert routine.diagnose() == []
    assert "reaches 1 of 1 parameter" in str(routine)
    assert loss.requires_grad


def test_an_optimizers_state_on_request() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x = torch.ones(4, 2)

    def steps(routine: Trace) -> list[tuple[str, ...]]:
        return [r.changed_others for r in routine.records if r.source == "optimizer.step()"]

    kept = ("optimizer.weight.momentum_buffer", "optimizer.bias.momentum_buffer")
    with trace(net, optimizer, state=True) as routine:
        for _ in range(2):
            net(x).sum().backward()
            optimizer.step()
        optimizer.state[net.weight]["momentum_buffer"].zero_()
    assert steps(routine) == [kept, kept]
    last = [record for record in routine.records if record.changed_others][-1]
    assert last.changed_others == kept[:1]
    before, after = (state.others[kept[0]] for state in (last.before, last.after))
    assert (before is not None and before.norm > 0, after is not None and after.norm) == (True, 0)
    assert routine.records[0].before.others == {}
    assert "optimizer: 2 changed" in str(routine)
    with trace(net, optimizer) as routine:
        optimizer.step()
    assert steps(routine) == [()]
    assert routine.records[-1].after.others == {}
