"""What the glossary says of the routine is so: a run for each of its entries."""

from __future__ import annotations

import copy
import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import _default_to_fused_or_foreach
from torch.utils._foreach_utils import _get_foreach_kernels_supported_devices

from companion import trace
from tests.chapters.glossary import ENTRIES, equal, grads, loss_of, of, problem, told, values


def test_every_entry_is_asserted() -> None:
    for path in Path(__file__).parent.glob("test_glossary_is_true_of_*.py"):
        importlib.import_module(f"tests.chapters.{path.stem}")
    assert told == set(ENTRIES)


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

    lazy = nn.LazyLinear(2)
    assert isinstance(lazy.weight, nn.UninitializedParameter)
    lazy(torch.ones(1, 3))
    assert lazy.weight.shape == (2, 3)


@of("Adam", "bias correction")
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
        for average, power, beta in (("exp_avg", 1, 0.9), ("exp_avg_sq", 2, 0.999)):
            corrected = state[average] / (1 - beta**1)
            torch.testing.assert_close(corrected, p.grad**power, rtol=1e-4, atol=0)


@of("amsgrad")
def test_amsgrad_divides_by_the_largest() -> None:
    def steps(amsgrad: bool) -> tuple[list[float], Any]:
        p = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.Adam([p], lr=0.1, betas=(0.0, 0.5), amsgrad=amsgrad)
        sizes = []
        for gradient in [100.0] * 20 + [1.0] * 40:
            p.grad, before = torch.tensor([gradient]), p.item()
            optimizer.step()
            sizes.append(abs(p.item() - before))
        return sizes, optimizer.state[p]

    (plain, state), (held, held_state) = steps(False), steps(True)
    assert plain[-1] == pytest.approx(0.1, rel=1e-3)
    assert held[-1] == pytest.approx(0.1 / 100, rel=1e-2)
    assert set(held_state) - set(state) == {"max_exp_avg_sq"}
    assert held_state["max_exp_avg_sq"] > 1000 * held_state["exp_avg_sq"]


@of("chain rule")
def test_rates_multiply_along_a_way_and_ways_add_up() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    y = x.sin()
    z = y.exp()
    y.retain_grad()
    z.backward()
    assert y.grad is not None
    torch.testing.assert_close(x.grad, y.grad * x.detach().cos())
    torch.testing.assert_close(y.grad, z.detach())
    x.grad = None
    (x * x).backward()
    assert x.grad is not None
    assert x.grad.item() == 3 + 3


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

    total = nn.Parameter(torch.ones(3)).sum()  # nothing was saved
    total.backward()
    total.backward()
    trunk = nn.Parameter(torch.ones(3)).exp()
    trunk.sum().backward(retain_graph=True)
    trunk.square().sum().backward()

    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout())
    before = None if weight.grad is None else weight.grad.clone()
    with torch.no_grad():
        assert net(plain).grad_fn is None
        assert net.training
    assert before is not None
    assert weight.grad is not None
    assert torch.equal(weight.grad, before)

    layer = nn.Linear(2, 2).requires_grad_(False)
    assert not any(p.requires_grad for p in layer.parameters())
    weight.requires_grad_(False)  # frozen: what stands in .grad stays
    (weight * nn.Parameter(torch.ones(3))).sum().backward()
    assert torch.equal(weight.grad, before)

    normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    assert not normed.weight.is_leaf  # it is no parameter
    assert all(p.is_leaf for p in normed.parameters())


@of("criterion", "cross-entropy", "logits", "one-hot", "softmax")
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

    rows = nn.functional.one_hot(labels, 3)
    assert rows.dtype == torch.int64
    torch.testing.assert_close(criterion(logits, rows.float()), loss)
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.1]))
    assert not torch.allclose(weighted(logits, rows.float()), weighted(logits, labels))
    assert nn.functional.one_hot(torch.tensor(3), 5).tolist() == [0, 0, 0, 1, 0]
    weight = torch.tensor([1.0, 2.0, 9.0])
    weighted = nn.CrossEntropyLoss(weight=weight)(logits, labels)
    shares = weight[labels] / weight[labels].sum()
    torch.testing.assert_close(weighted, (shares * torch.stack(each)).sum())
    guess = criterion(torch.zeros(1, 10), torch.tensor([3])).item()
    assert guess == pytest.approx(math.log(10))
    assert round(guess, 3) == 2.303


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
    swing = [math.sin(2 * math.pi * step / 20) for step in range(400)]
    assert max(buffers(swing, momentum=0.9)[-20:]) == pytest.approx(3.2, abs=0.05)
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
    decayed = nn.Parameter(torch.ones(1))
    decayed.grad = torch.ones(1)
    optimizer = torch.optim.SGD([decayed], lr=0.1, momentum=0.9, weight_decay=0.5)
    optimizer.step()
    assert optimizer.state[decayed]["momentum_buffer"].item() == 1.5

    plain = torch.optim.SGD([p], lr=0.1)
    p.grad = torch.ones(2)
    plain.step()
    assert "momentum_buffer" not in plain.state[p]
    cases: list[dict[str, Any]] = [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}]
    for refused in cases:
        with pytest.raises(ValueError, match="Nesterov"):
            torch.optim.SGD([p], lr=0.1, nesterov=True, **refused)


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
    p = nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    torch.optim.SGD([p], lr=0.1, momentum=0.9, nesterov=True, foreach=True).step()
    assert p.grad.item() == pytest.approx(1 + 0.9)
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
    tiny = torch.full((10,), 1e-30)
    assert torch.linalg.vector_norm(tiny) == 0
    assert tiny.all()
    layer = nn.Linear(3, 2)
    with trace(layer) as routine:
        (layer(torch.ones(1, 3)) * 1e-30).sum().backward()
    reading = routine.records[0].after.gradients["bias"]
    assert reading is not None
    assert reading.norm == pytest.approx(2**0.5 * 1e-30)

    for p, g in zip(net.parameters(), before, strict=True):
        p.grad = g.clone()
    nn.utils.clip_grad_value_(net.parameters(), 0.1)
    assert equal(grads(net), [g.clamp(-0.1, 0.1) for g in before])


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

    start = values(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(net, inputs * 1e38, labels) * 1e38).backward()
    scaler.step(optimizer)
    scaler.update()
    assert equal(values(net), start)
    assert scaler.get_scale() == 65536 / 2


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
    net, _, _ = problem()
    assert net[0].bias.abs().sum() > 0
    loss_of(net, torch.zeros(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    start = net[0].bias.detach().clone()
    gradient = net[0].bias.grad
    torch.optim.SGD([net[0].bias], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(net[0].bias.data, start - 0.1 * (gradient + 0.5 * start))
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

    weights, biases = [net[0].weight, net[2].weight], [net[0].bias, net[2].bias]
    split: list[dict[str, Any]] = [{"params": weights}, {"params": biases, "weight_decay": 0}]
    decaying = torch.optim.SGD(split, lr=0.1, weight_decay=0.5)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    start = values(net)
    decaying.step()
    same = [torch.equal(a, b) for a, b in zip(values(net), start, strict=True)]
    assert same == [False, True, False, True]

    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    (group,) = optimizer.param_groups
    built = group["lr"], group["momentum"]
    assert built[0] < 1.0
    optimizer.step()
    cycle.step()
    assert group["lr"] != built[0]
    assert group["momentum"] != built[1]
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


@of("closure")
def test_a_closure() -> None:
    net, inputs, labels = problem()
    kinds: list[Any] = [torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS]
    for kind in kinds:
        optimizer = kind(net.parameters(), lr=0.01)
        called: list[Any] = []

        def closure(optimizer: Any = optimizer, called: list[Any] = called) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(net, inputs, labels)
            loss.backward()
            called.append((loss.detach(), values(net)))
            return loss

        start = values(net)
        assert optimizer.step(closure) == called[0][0]
        assert equal(called[0][1], start)
        assert not equal(values(net), start)
        assert (len(called) == 1) == (kind is not torch.optim.LBFGS)
    with pytest.raises(TypeError, match="closure"):
        torch.optim.LBFGS(net.parameters()).step()  # type: ignore[call-arg]


@of("foreach, fused")
def test_paths_through_an_optimizer() -> None:
    devices = _get_foreach_kernels_supported_devices()
    assert "cuda" in devices
    assert "cpu" not in devices
    p = nn.Parameter(torch.ones(3))
    assert _default_to_fused_or_foreach([p], differentiable=False) == (False, False)

    def path(**options: Any) -> Tensor:
        torch.manual_seed(0)
        p = nn.Parameter(torch.randn(1000).bfloat16())
        optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9, **options)
        for _ in range(5):
            p.grad = torch.randn(1000).bfloat16()
            optimizer.step()
        return p.detach().float()

    loop, *others = path(foreach=False), path(foreach=True), path(fused=True)
    for other in others:
        torch.testing.assert_close(other, loop, rtol=0.05, atol=0.05)
    assert not all(torch.equal(other, loop) for other in others)
