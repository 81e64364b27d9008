"""What lives around an optimizer: sparse gradients, schedulers, scaler, compiler."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

import companion
from companion import Net
from tests.package.optim.test_checkpoints import through_a_file
from tests.package.optim.twins import Twins, each_optimizer, kept, random, same
from tests.package.versions import since

# Sparse gradients.


def sparse(rows: list[int], like: Tensor) -> Tensor:
    values = torch.randn(len(rows), *like.shape[1:])
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, like.shape)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0, 0.9])
def test_sparse_gradients(momentum: float, nesterov: bool, maximize: bool, foreach: bool) -> None:
    options: dict[str, Any] = {"momentum": momentum, "nesterov": nesterov and momentum > 0}
    params = [torch.randn(5, 3), torch.randn(4)]
    twins = Twins("SGD", params, **options, maximize=maximize, foreach=foreach)
    for rows in ([3, 1, 3], [0], [], [4, 4]):
        twins.step([sparse(rows, params[0]), torch.randn(4)])
    assert not torch.equal(twins.ours[0], params[0])
    if momentum:
        assert kept(twins.companions, twins.ours[0])["momentum_buffer"].is_sparse


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_sparse_gradients_are_refused_where_torch_refuses_them() -> None:
    params = [torch.randn(5, 3)]
    for name, options in ("SGD", {"weight_decay": 0.1}), ("Adam", {}), ("AdamW", {}):
        twins = Twins(name, params, **options)
        twins.give([sparse([1], params[0])])
        with pytest.raises(RuntimeError) as theirs:
            twins.torchs.step()
        with pytest.raises(RuntimeError) as ours:
            twins.companions.step()
        if name != "AdamW":  # which torch's calls Adam
            assert str(ours.value).startswith(str(theirs.value))
        assert torch.equal(twins.ours[0], params[0])
        assert not twins.companions.state.get(twins.ours[0])


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_an_embedding() -> None:
    ends = []
    for module in torch.optim, companion:
        torch.manual_seed(0)
        table = nn.Embedding(10, 3, sparse=True)
        optimizer = module.SGD(table.parameters(), lr=0.1, momentum=0.9)
        for words in ([1, 2, 2], [5], [9, 1]):
            optimizer.zero_grad()
            table(torch.tensor(words)).square().sum().backward()
            optimizer.step()
        ends.append(table.weight)
    assert torch.equal(*ends)


# Schedulers: every one that torch has.

SCHEDULERS: dict[str, Any] = {
    "LambdaLR": {"lr_lambda": lambda epoch: 0.9**epoch},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.9},
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3]},
    "ConstantLR": {"total_iters": 2},
    "LinearLR": {"total_iters": 3},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": 4},
    "CosineAnnealingLR": {"T_max": 4},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 8},
    "ReduceLROnPlateau": {"patience": 0},
    "SequentialLR": None,
    "ChainedScheduler": None,
}


def make_scheduler(kind: str, optimizer: Any) -> Any:
    if kind == "SequentialLR":
        parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.5)]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])
    if kind == "ChainedScheduler":
        parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.5)]
        return lr_scheduler.ChainedScheduler(parts)
    return getattr(lr_scheduler, kind)(optimizer, **SCHEDULERS[kind])


def test_no_scheduler_is_forgotten() -> None:
    assert set(SCHEDULERS) == set(lr_scheduler.__all__) - {"LRScheduler"}


@each_optimizer
@pytest.mark.filterwarnings("ignore:The epoch parameter")  # SequentialLR, before 2.9
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_schedulers(kind: str, name: str) -> None:
    """Also those that turn the momentum, or beta1, up and down; and in the middle a checkpoint."""
    options = {"momentum": 0.9} if name == "SGD" else {}
    twins = Twins(name, [torch.randn(5), torch.randn(2, 3)], **options)
    schedulers = [make_scheduler(kind, o) for o in (twins.torchs, twins.companions)]
    rates = []
    for step in range(6):
        twins.step(random(twins.theirs))
        for scheduler in schedulers:
            scheduler.step(1.0) if kind == "ReduceLROnPlateau" else scheduler.step()
        groups = twins.torchs.param_groups[0], twins.companions.param_groups[0]
        assert {**groups[0], "params": 0} == {**groups[1], "params": 0}
        rates.append(groups[1]["lr"])
        if step == 2:
            twins.companions.load_state_dict(through_a_file(twins.companions.state_dict()))
            schedulers[1].load_state_dict(schedulers[1].state_dict())
    assert len(set(rates)) > 1


def test_averaged_weights_and_swa() -> None:
    ends: list[Any] = []
    for module in torch.optim, companion:
        torch.manual_seed(0)
        net = nn.Linear(3, 2)
        optimizer = module.SGD(net.parameters(), lr=0.1)
        average: Any = torch.optim.swa_utils.AveragedModel(net)
        swa = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05, anneal_epochs=2)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
            average.update_parameters(net)
            swa.step()
        ends.append(average.module.weight)
    assert torch.equal(*ends)


# Scaler, compiler, and the rest of a loop.


@each_optimizer
def test_grad_scaler(name: str) -> None:
    """On the CPU; one of the steps overflows and is skipped."""
    ends, scales = [], []
    for module in torch.optim, companion:
        torch.manual_seed(0)
        net = nn.Linear(3, 2)
        optimizer = getattr(module, name)(net.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for i in range(4):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = net(torch.ones(4, 3)).float().square().sum()
            scaler.scale(loss * (float("inf") if i == 2 else 1)).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            before = net.weight.detach().clone()
            scaler.step(optimizer)
            scaler.update()
            assert torch.equal(before, net.weight) == (i == 2)
        ends.append(net.weight)
        scales.append(scaler.get_scale())
    assert torch.equal(*ends)
    assert scales == [512.0, 512.0]


@pytest.mark.filterwarnings("ignore")  # of the compiler
@each_optimizer
def test_a_compiled_network(name: str) -> None:
    ends = []
    for module in torch.optim, companion:
        torch.manual_seed(0)
        net = Net()
        compiled: Any = torch.compile(net, backend="aot_eager")
        optimizer = getattr(module, name)(compiled.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            compiled(torch.ones(2, 3, 32, 32)).square().sum().backward()
            optimizer.step()
        ends.append(list(net.parameters()))
    assert all(map(torch.equal, *ends))


@since("2.14", "a compiled step of SGD rounds otherwise")
@pytest.mark.filterwarnings("ignore")  # of the compiler
@each_optimizer
def test_a_compiled_step(name: str) -> None:
    """Compiled or not, the same numbers: the step may break the graph, not the result."""
    ends = []
    for compile_it in False, True:
        torch.manual_seed(0)
        params = [nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(2, 3))]
        optimizer = getattr(companion, name)(params, lr=0.1)
        step = torch.compile(optimizer.step, backend="eager") if compile_it else optimizer.step
        for i in range(3):
            for p in params:
                p.grad = torch.full_like(p, 0.1 * i + 0.3)
            step()
        ends.append(params)
    assert all(map(torch.equal, *ends))


@each_optimizer
def test_a_layer_that_is_frozen_at_first(name: str) -> None:
    """Its first gradient comes late, and later the other's stays away."""
    twins = Twins(name, [torch.randn(3), torch.randn(3)])
    for params in twins.theirs, twins.ours:
        params[1].requires_grad_(False)
    twins.step([torch.ones(3), None])
    for params in twins.theirs, twins.ours:
        params[1].requires_grad_(True)
    twins.step([torch.ones(3), torch.ones(3)])
    twins.step([None, torch.ones(3)])
    assert same(twins.ours[1], twins.theirs[1])
