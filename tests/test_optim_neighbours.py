"""What lives around an optimizer: checkpoints, hooks, schedulers, scaler, compiler, closures."""

from __future__ import annotations

import collections
import copy
import io
import pickle
import types
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.optim import optimizer as torch_optimizer

import companion
from companion import Net
from tests.twins import CASES, NAMES, Twins, kept, random, same
from tests.versions import since

each_optimizer = pytest.mark.parametrize("name", NAMES)


# Checkpoints.


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_training_goes_on_bit_for_bit(name: str, options: dict[str, Any], foreach: bool) -> None:
    """From torch's into ours, from ours into torch's, through a file, a pickle and a copy."""
    torch.manual_seed(0)
    twins = Twins(name, [torch.randn(5), torch.randn(2, 3)], **options, foreach=foreach)
    for change in ("", "torch to ours", "ours to torch", "file", "pickle", "copy"):
        if change == "torch to ours":
            twins.companions.load_state_dict(copy.deepcopy(twins.torchs.state_dict()))
        elif change == "ours to torch":
            twins.torchs.load_state_dict(copy.deepcopy(twins.companions.state_dict()))
        elif change == "file":
            twins.companions.load_state_dict(through_a_file(twins.torchs.state_dict()))
            twins.torchs.load_state_dict(through_a_file(twins.companions.state_dict()))
        elif change == "pickle":
            twins.companions = pickle.loads(pickle.dumps(twins.companions))
            twins.ours = twins.companions.param_groups[0]["params"]
        elif change == "copy":
            twins.companions = copy.deepcopy(twins.companions)
            twins.ours = twins.companions.param_groups[0]["params"]
        twins.step(random(twins.theirs))
        twins.step([None, *random(twins.theirs[1:])])


def test_adams_state_goes_on_in_adamw_and_back() -> None:
    """As in torch: AdamW stays AdamW, and Adam becomes what it loads."""
    for source, target, decoupled in ("Adam", "AdamW", True), ("AdamW", "Adam", True):
        for module in torch.optim, companion:
            p = nn.Parameter(torch.ones(1))
            saved = getattr(module, source)([p]).state_dict()
            loaded = getattr(module, target)([p])
            loaded.load_state_dict(saved)
            assert loaded.param_groups[0]["decoupled_weight_decay"] is decoupled


def test_notes_of_the_users_own_in_the_state() -> None:
    """Under names of their own, beside the parameters and beside what is kept for one."""
    for name in NAMES:
        twins = Twins(name, [torch.randn(3, dtype=torch.complex64)])
        for _ in range(3):
            twins.step(random(twins.theirs))
            for optimizer, (p,) in (twins.torchs, twins.theirs), (twins.companions, twins.ours):
                optimizer.state["epoch"] = 7
                optimizer.state["mine"] = {"step": 7}
                if p in optimizer.state:
                    optimizer.state[p]["name"] = torch.tensor(1)
                optimizer.load_state_dict(optimizer.state_dict())
                assert optimizer.state["mine"] == {"step": 7}


def test_step_counts_that_are_whole_numbers() -> None:
    twins = Twins("Adam", [torch.ones(3)])
    twins.step([torch.ones(3)])
    for optimizer, (p,) in (twins.torchs, twins.theirs), (twins.companions, twins.ours):
        optimizer.state[p]["step"] = torch.tensor(1)
    twins.step([torch.ones(3)])


def test_a_state_reset_by_hand() -> None:
    """`__setstate__` with the state alone."""
    for name in NAMES:
        twins = Twins(name, [torch.ones(3)])
        twins.step([torch.ones(3)])
        for optimizer in twins.torchs, twins.companions:
            optimizer.__setstate__({"state": collections.defaultdict(dict)})
        twins.step([torch.ones(3)])


@since("2.14", "it asks in another way whether a graph is captured")
def test_a_cuda_graph_needs_capturable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU here: torch is told that there is one and that it captures."""
    p = nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    gpu, stream = torch.device("cuda"), types.SimpleNamespace(is_capturing=lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: gpu)
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda: stream)
    for optimizer in companion.Adam([p]), companion.AdamW([p]):
        with pytest.raises(RuntimeError, match="Attempting CUDA graph capture of step"):
            optimizer.step()
    assert p.item() == 1.0


def test_state_dict_hooks() -> None:
    p = nn.Parameter(torch.ones(1))
    optimizer = companion.SGD([p])
    calls: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("pre"))
    optimizer.register_state_dict_post_hook(lambda o, s: calls.append("post"))
    optimizer.register_load_state_dict_pre_hook(lambda o, s: calls.append("load pre"))
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("load post"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["pre", "post", "load pre", "load post"]


# Steps.


@each_optimizer
def test_closure_runs_with_gradients_and_its_loss_comes_back(name: str) -> None:
    """Also where everything around it has gradients off, and a loss of any type."""
    ends = []
    for module in torch.optim, companion:
        p = nn.Parameter(torch.ones(2))
        optimizer = getattr(module, name)([p], lr=0.5)

        def closure(p: Tensor = p, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = (p * p).sum()
            loss.backward()
            return loss

        assert optimizer.step() is None
        with torch.no_grad():
            assert optimizer.step(closure) == 2.0
        assert optimizer.step(closure=lambda: "a string") == "a string"
        ends.append(p)
    assert torch.equal(*ends)


def test_an_error_in_a_closure_leaves_gradients_on() -> None:
    p = nn.Parameter(torch.ones(2))
    with pytest.raises(ZeroDivisionError):
        companion.SGD([p]).step(lambda: 1 / 0)
    assert torch.is_grad_enabled()


@each_optimizer
def test_step_hooks(name: str) -> None:
    """In torch's order, with torch's arguments; a pre-hook may change them."""
    seen: dict[Any, list[Any]] = {}
    for module in torch.optim, companion:
        p = nn.Parameter(torch.ones(2))
        p.grad = torch.ones(2)
        optimizer = getattr(module, name)([p])
        calls: list[Any] = []

        def note(what: str, p: Tensor = p, calls: list[Any] = calls) -> Any:
            def hook(optimizer: Any, args: Any, kwargs: Any) -> None:
                calls.append((what, len(args), dict(kwargs), p.tolist()))

            return hook

        handles = [
            torch_optimizer.register_optimizer_step_pre_hook(note("pre, all")),
            torch_optimizer.register_optimizer_step_post_hook(note("post, all")),
            optimizer.register_step_pre_hook(note("pre")),
            optimizer.register_step_post_hook(note("post")),
        ]
        optimizer.step()
        optimizer.step(None)
        optimizer.step(closure=None)
        for handle in handles:
            handle.remove()
        optimizer.step()
        swap = optimizer.register_step_pre_hook(lambda o, a, k: ((o, lambda: "swapped"), {}))
        calls.append(optimizer.step())
        swap.remove()
        calls.append(optimizer.step())
        seen[module] = calls
    assert seen[torch.optim] == seen[companion]
    assert len(seen[companion]) == 3 * 4 + 2
    assert seen[companion][-2:] == ["swapped", None]


@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("whose", ["one", "all"])
def test_each_kind_of_hook_alone(when: str, whose: str) -> None:
    """Without any the step runs bare, so each must be noticed by itself."""
    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer, calls = companion.SGD([p]), []
    one, every = f"register_step_{when}_hook", f"register_optimizer_step_{when}_hook"
    register = getattr(optimizer, one) if whose == "one" else getattr(torch_optimizer, every)
    handle = register(lambda *args: calls.append("called"))
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert calls == ["called"]


@pytest.mark.filterwarnings("ignore")  # of the profiler
def test_a_profiler_sees_the_step() -> None:
    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer = companion.AdamW([p])
    optimizer.step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    assert "Optimizer.step#AdamW.step" in {event.key for event in profile.key_averages()}


def test_a_subclass_with_a_step_of_its_own() -> None:
    calls = []

    class Mine(companion.SGD):
        def step(self, closure: Any = None) -> Any:
            calls.append("mine")
            return super().step(closure)

    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer = Mine([p], lr=0.5)
    optimizer.register_step_post_hook(lambda *args: calls.append("hook"))
    optimizer.step()
    assert calls[0] == "mine"
    assert "hook" in calls
    assert torch.equal(p.detach(), torch.full((2,), 0.5))


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
    torch.manual_seed(0)
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
    torch.manual_seed(0)
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
    torch.manual_seed(0)
    twins = Twins(name, [torch.randn(3), torch.randn(3)])
    for params in twins.theirs, twins.ours:
        params[1].requires_grad_(False)
    twins.step([torch.ones(3), None])
    for params in twins.theirs, twins.ours:
        params[1].requires_grad_(True)
    twins.step([torch.ones(3), torch.ones(3)])
    twins.step([None, torch.ones(3)])
    assert same(twins.ours[1], twins.theirs[1])
