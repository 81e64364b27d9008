"""What *When the answer moves* says of torch without a cell that shows it, as in test_claims.py."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from companion import trace
from tests.chapters.claims import Claims, Run
from tests.chapters.glossary import loss_of, problem, values

CLAIMS = Claims()
said = CLAIMS.said


def normed() -> Any:
    """A network with a BatchNorm."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def step_of_lbfgs(
    net: nn.Module, told: Callable[[Tensor], object], **options: Any
) -> list[list[Tensor]]:
    """One step; the parameters at each call of its closure."""
    _, inputs, labels = problem()
    optimizer = torch.optim.LBFGS(net.parameters(), **options)
    at: list[list[Tensor]] = []

    def closure() -> Any:
        at.append(values(net))
        optimizer.zero_grad()
        loss = loss_of(net, inputs, labels)
        loss.backward()
        return told(loss)

    optimizer.step(closure)
    return at


@said(
    "10",
    "The momentum of SGD is the share that is kept.",
    "Each forward pass in train mode moves them, under",
)
def two_kinds_of_momentum() -> None:
    p = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9)
    for grad in 1.0, 0.0:
        p.grad = torch.tensor([grad])
        optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].item() == pytest.approx(0.9)
    net = normed()
    before = net[1].running_mean.clone()
    with torch.no_grad():
        net(torch.randn(6, 4))
    assert not torch.equal(net[1].running_mean, before)


@said(
    "10",
    "1437 images in batches of 4 are 359 batches, and one image. "
    "`DataLoader(..., drop_last=True)` leaves it out.",
    "A test of one image without `net.eval()`.",
)
def where_one_image_is_a_batch() -> None:
    from sklearn.datasets import load_digits  # a second, in each process that collects this

    assert len(load_digits().target) - 360 == 1437
    data: Any = range(1437)
    assert [len(batch) for batch in DataLoader(data, batch_size=4)][-1] == 1
    dropping = [len(batch) for batch in DataLoader(data, batch_size=4, drop_last=True)]
    assert dropping == [4] * 359
    net = normed()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        net(torch.randn(1, 4))
    net.eval()(torch.randn(1, 4))


@said(
    "10",
    "`GroupNorm` and `LayerNorm` look at one sample only, have no running mean, and do the same "
    "in both modes.",
)
def layers_that_look_at_one_sample() -> None:
    x = torch.randn(6, 4)
    for layer in nn.GroupNorm(2, 4), nn.LayerNorm(4):
        assert not [*layer.buffers()]
        together = layer(x)
        torch.testing.assert_close(layer(x[:1]), together[:1])
        assert torch.equal(layer.eval()(x), together)


@said(
    "10",
    "In `float32`, Adam makes steps of that rounding, since it divides it by its own size: the "
    "bias wanders, and the running mean follows it.",
    "In eval mode the two belong together. Change one alone, and the outputs are others.",
)
def a_bias_that_wanders() -> None:
    net = normed()
    begun = net[0].bias.detach().clone()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    inputs = torch.randn(64, 4)
    for _ in range(200):
        optimizer.zero_grad()
        loss_of(net, inputs, inputs[:, :3].argmax(dim=1)).backward()
        optimizer.step()
    assert net[0].bias.grad.abs().max() < 1e-6
    assert (net[0].bias - begun).abs().max() > 1e-3
    net(inputs)
    shifted = copy.deepcopy(net)
    with torch.no_grad():
        shifted[0].bias.add_(1)
    assert not torch.allclose(net.eval()(inputs), shifted.eval()(inputs))
    with torch.no_grad():
        shifted[1].running_mean.add_(1)
    torch.testing.assert_close(net(inputs), shifted(inputs), rtol=1e-4, atol=1e-4)


@said(
    "10",
    "the loss that LBFGS is told has not changed, so it believes that it has arrived.",
    "With BatchNorm in the network one step moves the running mean up to 20 times, and with "
    "[dropout](glossary.md#dropout) each call asks another network.",
)
def what_lbfgs_is_told() -> None:
    net, _, _ = problem()
    assert len(step_of_lbfgs(copy.deepcopy(net), lambda _: 1.0)) == 2
    # Told to look for a change that is below 0, it goes on.
    unlimited = {"tolerance_change": -1.0}
    assert len(step_of_lbfgs(copy.deepcopy(net), lambda _: 1.0, **unlimited)) == 20

    net = normed()
    assert len(step_of_lbfgs(net, lambda loss: loss)) == net[1].num_batches_tracked.item() == 20
    _, inputs, labels = problem()
    dropping = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
    asked = {loss_of(dropping, inputs, labels).item() for _ in range(3)}
    assert len(asked) == 3


@said(
    "10",
    "What it returns is taken in its place, so a gradient can be clipped or multiplied there.",
    "The other one is given the parameter, with the sum in `.grad`.",
)
def what_the_hooks_can_do() -> None:
    w = torch.ones(2, requires_grad=True)
    w.register_hook(lambda grad: 2 * grad)
    seen: list[tuple[bool, Tensor | None]] = []

    def after(p: Tensor) -> None:
        assert p.grad is not None
        seen.append((p is w, p.grad.clone()))

    w.register_post_accumulate_grad_hook(after)
    # Used twice, and called once for each backward, when both parts are in.
    for _ in range(2):
        (w * w + 3 * w).sum().backward()
    assert [same for same, _ in seen] == [True, True]
    assert [grad.tolist() for _, grad in seen if grad is not None] == [[10.0] * 2, [20.0] * 2]


@said(
    "10",
    "each small backward is a step.",
    "A trace shows a `fused` step all the same, since it compares the numbers.",
)
def steps_that_are_seen() -> None:
    def move(p: Tensor) -> None:
        assert p.grad is not None
        p.data.sub_(0.1 * p.grad)
        p.grad = None

    net, inputs, labels = problem()
    for p in net.parameters():
        p.register_post_accumulate_grad_hook(move)
    before = values(net)
    (loss_of(net, inputs[:3], labels[:3]) / 2).backward()
    between = values(net)
    (loss_of(net, inputs[3:], labels[3:]) / 2).backward()
    for first, second, third in zip(before, between, values(net), strict=True):
        assert not torch.equal(first, second)
        assert not torch.equal(second, third)

    net, inputs, labels = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, fused=True)
    loss_of(net, inputs, labels).backward()
    with trace(net, optimizer) as routine:
        optimizer.step()
    assert len(routine.records[0].changed_parameters) == 4


@said(
    "10",
    "The mode decides whether the running mean moves, and `requires_grad` whether the weight "
    "learns. In D the last call counts.",
)
def the_five_ways_of_the_first_exercise() -> None:
    ways: dict[str, Callable[[Any], object]] = {
        "A": lambda net: None,
        "B": lambda net: net[1].requires_grad_(False),
        "C": lambda net: net[1].eval(),
        "D": lambda net: (net[1].eval(), net.train()),
        "E": lambda net: (net[1].eval(), net[1].requires_grad_(False)),
    }
    moves, learns = "", ""
    _, inputs, labels = problem()
    for letter, prepare in ways.items():
        net = normed()
        prepare(net)
        mean, weight = net[1].running_mean.clone(), net[1].weight.detach().clone()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        optimizer.zero_grad()
        loss_of(net, inputs, labels).backward()
        optimizer.step()
        moves += letter * (not torch.equal(mean, net[1].running_mean))
        learns += letter * (not torch.equal(weight, net[1].weight))
    assert (moves, learns) == ("ABD", "ACD")


@CLAIMS.each()
def test_it_is_so(run: Run) -> None:
    CLAIMS.hold(run)
