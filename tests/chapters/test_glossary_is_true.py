"""What the glossary says is so: a run for each of its entries."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import companion
from companion import Net, trace
from tests.chapters.glossary import ENTRIES

told: set[str] = set()  # the entries whose sentences are asserted below
Test = Callable[[], None]


def of(*terms: str) -> Callable[[Test], Test]:
    """The entries of the glossary that a test is about."""

    def note(test: Test) -> Test:
        told.update(terms)
        return test

    return note


def test_every_entry_is_asserted() -> None:
    assert told == set(ENTRIES)


def problem() -> tuple[Any, Tensor, Tensor]:
    """A network and one batch of six."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return net, torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])


def loss_of(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    loss: Tensor = nn.CrossEntropyLoss()(net(inputs), labels)
    return loss


def grads(net: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def values(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@of("accumulate (gradient accumulation)", "backward pass", ".grad", "forward pass", "loss")
def test_forward_changes_nothing_and_backward_adds() -> None:
    net, inputs, labels = problem()
    start = values(net)
    loss = loss_of(net, inputs, labels)
    assert loss.shape == ()
    assert loss.grad_fn is not None
    assert isinstance(loss.item(), float)
    assert grads(net) == []
    assert equal(start, values(net))
    loss.backward()
    once = grads(net)
    assert [g.shape for g in once] == [p.shape for p in net.parameters()]
    assert equal(start, values(net))
    loss_of(net, inputs, labels).backward()
    assert equal(grads(net), [g + g for g in once])
    assert not hasattr(net[0], "grad")
    assert not hasattr(torch.optim.SGD(net.parameters()), "grad")
    assert not loss.retains_grad


@of("Adam")
def test_adam_begins_with_a_step_of_the_learning_rate() -> None:
    for gradient in (0.001, -1.0, 1000.0):
        p = nn.Parameter(torch.zeros(1))
        p.grad = torch.tensor([gradient])
        optimizer = torch.optim.Adam([p], lr=0.1)
        optimizer.step()
        assert abs(p.item()) == pytest.approx(0.1, rel=1e-4)
        state = optimizer.state[p]
        torch.testing.assert_close(state["exp_avg"], 0.1 * p.grad)
        torch.testing.assert_close(state["exp_avg_sq"], 0.001 * p.grad**2)


@of("autograd", "computational graph", "leaf", "requires_grad", "retain_graph", "no_grad")
def test_the_graph() -> None:
    plain, weight = torch.ones(3), nn.Parameter(torch.ones(3))
    assert (plain.requires_grad, weight.requires_grad) == (False, True)
    assert (plain * 2).grad_fn is None
    product = weight * plain * weight
    assert product.requires_grad
    assert product.grad_fn is not None
    assert weight.is_leaf
    assert not product.is_leaf

    product.retain_grad()
    product.sum().backward(retain_graph=True)
    assert product.grad is not None
    assert plain.grad is None
    product.sum().backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        product.sum().backward()

    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout())
    before = None if weight.grad is None else weight.grad.clone()
    with torch.no_grad():
        assert net(plain).grad_fn is None
        assert net.training
    assert before is not None
    assert weight.grad is not None
    assert torch.equal(weight.grad, before)

    weight.requires_grad_(False)  # frozen: what stands in .grad stays
    (weight * nn.Parameter(torch.ones(3))).sum().backward()
    assert torch.equal(weight.grad, before)


@of("batch", "criterion", "cross-entropy", "logits", "softmax")
def test_cross_entropy() -> None:
    criterion = nn.CrossEntropyLoss()
    assert list(criterion.parameters()) == []
    net, inputs, labels = problem()
    logits = net(inputs).detach().requires_grad_()
    loss = criterion(logits, labels)
    each = [criterion(logits[i : i + 1], labels[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(loss, torch.stack(each).mean())
    probabilities = logits.softmax(dim=1)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6))
    assert 0 < probabilities.min() < probabilities.max() < 1
    torch.testing.assert_close(loss, -probabilities[range(6), labels].log().mean())
    loss.backward()
    assert logits.grad is not None
    expected = (probabilities - nn.functional.one_hot(labels, 3)) / 6
    torch.testing.assert_close(logits.grad, expected.detach())
    guess = criterion(torch.zeros(1, 10), torch.tensor([3])).item()
    assert guess == pytest.approx(math.log(10))
    assert round(guess, 3) == 2.303


@of("buffer", "state dict")
def test_what_is_saved() -> None:
    net: Any = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    mean = net[1].running_mean.clone()
    assert "1.running_mean" in dict(net.named_buffers())
    assert "1.running_mean" not in dict(net.named_parameters())
    net.eval()
    net(torch.randn(8, 2))
    assert torch.equal(net[1].running_mean, mean)
    net.train()
    net(torch.randn(8, 2)).square().sum().backward()
    assert not torch.equal(net[1].running_mean, mean)
    names = {*dict(net.named_parameters()), *dict(net.named_buffers())}
    assert set(net.state_dict()) == names

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["momentum"] == 0.9
    assert [list(state) for state in saved["state"].values()] == [["momentum_buffer"]] * 4
    assert torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9).state_dict()["state"] == {}


@of("dampening", "momentum", "momentum buffer", "Nesterov momentum")
def test_momentum() -> None:
    def buffers(gradients: list[float], **options: Any) -> list[float]:
        p = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([p], lr=0.1, **options)
        seen = []
        for gradient in gradients:
            p.grad = torch.tensor([gradient])
            optimizer.step()
            seen.append(optimizer.state[p]["momentum_buffer"].item())
        return seen

    assert buffers([1.0] * 200, momentum=0.9)[-1] == pytest.approx(1 / (1 - 0.9))
    in_turn = buffers([1.0, -1.0] * 100, momentum=0.9)[-1]
    assert abs(in_turn) == pytest.approx(1 / (1 + 0.9))
    damped = buffers([1.0, 1.0], momentum=0.9, dampening=0.5)
    assert damped == pytest.approx([1.0, 0.9 + 0.5])

    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.ones(2)
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9, nesterov=True)
    optimizer.step()
    buffer = optimizer.state[p]["momentum_buffer"]
    assert torch.equal(buffer, torch.ones(2))
    assert buffer.data_ptr() != p.grad.data_ptr()
    torch.testing.assert_close(p.data, -0.1 * (torch.ones(2) + 0.9 * buffer))
    optimizer.zero_grad()
    assert torch.equal(optimizer.state[p]["momentum_buffer"], torch.ones(2))

    plain = torch.optim.SGD([p], lr=0.1)
    p.grad = torch.ones(2)
    plain.step()
    assert "momentum_buffer" not in plain.state[p]
    cases: list[dict[str, Any]] = [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}]
    for refused in cases:
        with pytest.raises(ValueError, match="Nesterov"):
            torch.optim.SGD([p], lr=0.1, nesterov=True, **refused)


@of("detach")
def test_detach() -> None:
    tensor = nn.Parameter(torch.ones(2)) * 3
    cut = tensor.detach()
    assert cut.grad_fn is None
    assert torch.equal(cut, tensor)
    cut[0] = 7
    assert tensor[0].item() == 7


@of("epoch")
def test_epoch() -> None:
    sizes = [len(images) for images, _ in DataLoader(companion.digits(), batch_size=16)]
    assert len(sizes) == 90
    assert sum(sizes) == 1437
    assert sizes[-1] < 16


@of("eval mode and train mode")
def test_modes() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(), nn.BatchNorm1d(4))
    inputs = torch.randn(8, 4)
    before = [layer(inputs) for layer in net]
    net.eval()
    assert not any(module.training for module in net.modules())
    same = [torch.equal(layer(inputs), was) for layer, was in zip(net, before, strict=True)]
    assert same == [True, True, False, False]
    assert net(inputs).requires_grad


@of("exploding and vanishing gradients", "learning rate")
def test_too_much_and_too_little() -> None:
    def first_layer(weight: float) -> float:
        layers = [nn.Linear(1, 1, bias=False) for _ in range(200)]
        for layer in layers:
            nn.init.constant_(layer.weight, weight)
        nn.Sequential(*layers)(torch.ones(1, 1)).sum().backward()
        gradient = layers[0].weight.grad
        assert gradient is not None
        return float(gradient)

    assert math.isinf(first_layer(2.0))
    assert first_layer(0.5) == 0

    def last_loss(lr: float) -> float:
        net, inputs, _ = problem()
        optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        assert optimizer.param_groups[0]["lr"] == lr
        for _ in range(10):
            optimizer.zero_grad()
            loss = net(inputs).square().mean()
            loss.backward()
            optimizer.step()
        return float(net(inputs).square().mean().detach())

    small, right, large = last_loss(1e-5), last_loss(0.1), last_loss(1000)
    assert right < 0.9 * small
    assert not large < 1000 * small


@of("gradient", "step", "SGD")
def test_a_small_step_against_the_gradient() -> None:
    net, inputs, labels = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    loss = loss_of(net, inputs, labels)
    loss.backward()
    gradient = net[0].weight.grad
    assert gradient is not None
    nudged = copy.deepcopy(net).double()
    with torch.no_grad():
        nudged[0].weight[1, 2] += 1e-6
    exact = copy.deepcopy(net).double()
    rise = loss_of(nudged, inputs.double(), labels) - loss_of(exact, inputs.double(), labels)
    assert rise.item() / 1e-6 == pytest.approx(gradient[1, 2].item(), rel=1e-3)

    unused = nn.Parameter(torch.ones(1))
    optimizer.add_param_group({"params": [unused]})
    expected = [p.detach().add(p.grad, alpha=-0.01) for p in net.parameters()]
    before = grads(net)
    optimizer.step()
    assert equal(values(net), expected)
    assert equal(grads(net), before)
    assert unused.item() == 1
    assert loss_of(net, inputs, labels) < loss


@of("gradient clipping", "norm")
def test_clipping_and_norm() -> None:
    net, inputs, labels = problem()
    loss_of(net, inputs, labels).backward()
    before, objects = grads(net), [p.grad for p in net.parameters()]
    norm = nn.utils.clip_grad_norm_(net.parameters(), 0.1)
    together = torch.cat([g.flatten() for g in before])
    torch.testing.assert_close(norm, together.square().sum().sqrt())
    assert norm > 0.1
    factors = [after / g for after, g in zip(grads(net), before, strict=True)]
    for factor in factors:
        torch.testing.assert_close(
            factor[factor.isfinite()],
            (0.1 / norm).expand(int(factor.isfinite().sum())),
            rtol=1e-4,
            atol=0,
        )
    assert all(p.grad is was for p, was in zip(net.parameters(), objects, strict=True))
    clipped = grads(net)
    assert nn.utils.clip_grad_norm_(net.parameters(), 1.0).item() == pytest.approx(0.1, rel=1e-3)
    assert equal(grads(net), clipped)
    assert torch.tensor([3.0, -4.0]).norm() == 5
    assert torch.tensor([1e-20, 0.0]).double().norm() > 0


@of("GradScaler")
def test_grad_scaler() -> None:
    net, inputs, labels = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loss_of(net, inputs, labels).backward()
    plain = grads(net)
    for unscale in (True, False):
        mine = copy.deepcopy(net)
        mine.zero_grad()
        optimizer = torch.optim.SGD(mine.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu")
        scaler.scale(loss_of(mine, inputs, labels)).backward()
        assert scaler.get_scale() == 65536
        assert equal(grads(mine), [g * 65536 for g in plain])
        if unscale:
            scaler.unscale_(optimizer)
            assert equal(grads(mine), plain)
        scaler.step(optimizer)
        assert equal(grads(mine), plain)
        stepped = [p - 0.1 * g for p, g in zip(values(net), plain, strict=True)]
        torch.testing.assert_close(values(mine), stepped)


@of("in place", "version counter")
def test_in_place() -> None:
    weight = torch.ones(2)
    assert weight.add(1) is not weight
    assert weight.add_(1) is weight
    assert weight.tolist() == [2, 2]
    net, inputs, labels = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    assert optimizer.param_groups[0]["params"][0] is net[0].weight

    count = net[0].bias._version
    with torch.no_grad():
        net[0].bias.add_(1)
    assert net[0].bias._version == count + 1
    net[0].bias.data.add_(1)
    net[0].bias.detach().numpy()[0] = 5
    assert net[0].bias._version == count + 1

    loss = loss_of(net, inputs, labels)
    with torch.no_grad():
        net[2].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@of("layer", "network", "parameter")
def test_modules() -> None:
    layers = dict(Net().named_children())
    assert [type(layer) for layer in layers.values()] == [nn.Conv2d] * 2 + [nn.Linear] * 3
    assert all(
        set(dict(layer.named_parameters())) == {"weight", "bias"} for layer in layers.values()
    )

    class Some(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = nn.Linear(1, 1)
            self.listed = nn.ModuleList([nn.Linear(1, 1)])
            self.hidden = [nn.Linear(1, 1)]
            self.own = nn.Parameter(torch.ones(1))
            self.plain = torch.ones(1, requires_grad=True)

    names = {name.partition(".")[0] for name, _ in Some().named_parameters()}
    assert names == {"seen", "listed", "own"}
    parameter = Some().own
    assert parameter.is_leaf
    assert parameter.requires_grad


@of("line-level trace", "probe", "sum")
def test_trace_and_probes() -> None:
    net, inputs, labels = problem()
    start = values(net)
    none = companion.gradient_sums(net)
    assert set(none.values()) == {None}
    assert len(none) == 4
    assert set(companion.gradient_sums(net, by="layer")) == {"0", "2"}
    companion.parameter_sums(net)
    assert equal(values(net), start)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        loss_of(net, inputs, labels).backward()
        optimizer.step()
    backward, step = routine.records
    assert len(backward.changed_gradients) == len(step.changed_parameters) == 4
    for name in ("2.weight", "2.bias"):
        reading, before, after = (
            backward.after.gradients[name],
            step.before.parameters[name],
            step.after.parameters[name],
        )
        assert reading is not None
        assert before is not None
        assert after is not None
        assert abs(reading.sum) < 1e-6 < reading.norm
        assert abs(after.sum - before.sum) < 1e-6 < abs(after.norm - before.norm)


@of("None (why None)", "zero_grad", "weight decay")
def test_none_and_zero() -> None:
    for clear, moves in (({}, False), ({"set_to_none": False}, True)):
        cases: list[dict[str, Any]] = [{"momentum": 0.9}, {"weight_decay": 0.1}]
        for options in cases:
            net, inputs, labels = problem()
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1, **options)
            loss_of(net, inputs, labels).backward()
            optimizer.step()
            start = values(net)
            optimizer.zero_grad(**clear)
            assert equal(values(net), start)
            cleared = [p.grad for p in net.parameters()]
            if moves:
                assert all(g is not None and not g.any() for g in cleared)
            else:
                assert cleared == [None] * 4
            optimizer.step()
            assert equal(values(net), start) != moves

    frozen = nn.Linear(2, 1).requires_grad_(False)
    (frozen(torch.ones(1, 2)) * nn.Parameter(torch.ones(1))).sum().backward()
    assert grads(frozen) == []

    for kind, left in ((torch.optim.SGD, 0.1 * 0.5), (torch.optim.AdamW, 0.1 * 0.5)):
        p = nn.Parameter(torch.ones(1))
        p.grad = torch.zeros(1)
        kind([p], lr=0.1, weight_decay=0.5).step()
        assert p.item() == pytest.approx(1 - left)
    p = nn.Parameter(torch.ones(1))
    p.grad = torch.zeros(1)
    torch.optim.Adam([p], lr=0.1, weight_decay=0.5).step()
    assert p.item() == pytest.approx(1 - 0.1)  # it went through the averages


@of("optimizer", "parameter group", "scheduler")
def test_optimizer_and_scheduler() -> None:
    net, inputs, labels = problem()
    assert len(torch.optim.SGD(net.parameters(), lr=0.1).param_groups) == 1
    groups: list[dict[str, Any]] = [
        {"params": net[0].parameters(), "lr": 0.5},
        {"params": [net[2].bias]},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]
    loss_of(net, inputs, labels).backward()
    start = values(net)
    optimizer.step()
    assert [torch.equal(a, b) for a, b in zip(values(net), start, strict=True)] == [
        False,
        False,
        True,  # net[2].weight is in no list
        False,
    ]
    optimizer.zero_grad()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, True]

    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    start = values(net)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.05]
    assert equal(values(net), start)
