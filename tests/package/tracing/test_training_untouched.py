"""A traced block's training is, bit for bit, the training without the trace; its graph too."""

from __future__ import annotations

import contextlib
import gc
import random
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import checkpoint
from torch.utils._python_dispatch import TorchDispatchMode

from companion import Trace, trace

STEPS = 4


class Bench:
    """A network, its optimizer, and what one step does."""

    net: Any
    optimizer: torch.optim.Optimizer

    def step(self, i: int) -> None:
        self.optimizer.zero_grad()
        self.loss(i).backward()
        self.optimizer.step()

    def loss(self, i: int) -> Tensor:
        return self.net(self.inputs(i)).square().mean()  # type: ignore[no-any-return]

    def inputs(self, i: int) -> Tensor:
        return torch.randn(4, 3, 8, 8)


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(288, 10),
    )


class Momentum(Bench):
    def __init__(self) -> None:
        self.net = convolutional()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9)


class Nesterov(Bench):
    def __init__(self) -> None:
        self.net = convolutional()
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=0.01, momentum=0.9, nesterov=True, foreach=True
        )


class FusedAdam(Bench):
    def __init__(self) -> None:
        self.net = convolutional()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), amsgrad=True, fused=True)


class ChannelsLast(Momentum):
    def __init__(self) -> None:
        super().__init__()
        self.net.to(memory_format=torch.channels_last)

    def inputs(self, i: int) -> Tensor:
        return super().inputs(i).to(memory_format=torch.channels_last)


class Autocast(FusedAdam):
    def step(self, i: int) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self.loss(i)
        self.optimizer.zero_grad()
        loss.backward()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            self.optimizer.step()


class Scaled(Momentum):
    def __init__(self) -> None:
        super().__init__()
        self.scaler = torch.amp.GradScaler("cpu", growth_interval=2)

    def step(self, i: int) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(i) * (float("inf") if i == 2 else 1.0)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()


class Half(Bench):
    def __init__(self, dtype: torch.dtype = torch.bfloat16) -> None:
        self.net = nn.Sequential(nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 2)).to(dtype)
        self.optimizer = torch.optim.Adam(self.net.parameters(), eps=1e-3)
        self.dtype = dtype

    def inputs(self, i: int) -> Tensor:
        return torch.randn(5, 40, dtype=self.dtype)


class Complex(Half):
    def __init__(self) -> None:
        self.net = nn.Linear(40, 40, dtype=torch.complex64)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.dtype = torch.complex64

    def loss(self, i: int) -> Tensor:
        return self.net(self.inputs(i)).abs().mean()  # type: ignore[no-any-return]


class Sparse(Bench):
    def __init__(self) -> None:
        self.net = nn.EmbeddingBag(30, 50, sparse=True, mode="sum")
        self.optimizer = torch.optim.SparseAdam(self.net.parameters())

    def inputs(self, i: int) -> Tensor:
        return torch.randint(30, (3, 4))


class Tied(Half):
    def __init__(self) -> None:
        a, b = nn.Linear(40, 40), nn.Linear(40, 40)
        b.weight = a.weight
        self.net = nn.Sequential(a, nn.ReLU(), b)
        self.optimizer = torch.optim.RMSprop(self.net.parameters())
        self.dtype = torch.float32


class Compiled(Half):
    def __init__(self) -> None:
        super().__init__(torch.float32)
        torch.compiler.reset()
        self.compiled = torch.compile(self.net, backend="eager")

    def loss(self, i: int) -> Tensor:
        outputs: Tensor = self.compiled(self.inputs(i))  # type: ignore[no-untyped-call]
        return outputs.square().mean()


class Checkpointed(Momentum):
    def loss(self, i: int) -> Tensor:
        outputs = checkpoint.checkpoint(self.net, self.inputs(i), use_reentrant=False)
        return outputs.square().mean()  # type: ignore[no-any-return]


class SecondOrder(Half):
    def __init__(self) -> None:
        super().__init__(torch.float64)

    def step(self, i: int) -> None:
        self.optimizer.zero_grad()
        inputs = self.inputs(i).requires_grad_()
        outputs = self.net(inputs).square().sum()
        (slope,) = torch.autograd.grad(outputs, inputs, create_graph=True)
        (outputs + slope.square().sum()).backward()
        self.optimizer.step()


def _clamp(p: Tensor) -> None:
    assert p.grad is not None
    p.grad.data.clamp_(-0.1, 0.1)


class Hooked(Half):
    def __init__(self) -> None:
        super().__init__(torch.float32)
        first = next(self.net.parameters())
        first.register_hook(lambda grad: grad * 2 + torch.rand(()))
        for p in self.net.parameters():
            p.register_post_accumulate_grad_hook(_clamp)


class Limited(Half):
    """LBFGS, with a closure."""

    def __init__(self) -> None:
        super().__init__(torch.float64)
        self.optimizer = torch.optim.LBFGS(self.net.parameters(), lr=0.1, max_iter=3)

    def step(self, i: int) -> None:
        inputs = self.inputs(i)

        def closure() -> float:
            self.optimizer.zero_grad()
            loss = self.net(inputs).square().mean()
            loss.backward()
            return loss.item()  # type: ignore[no-any-return]

        self.optimizer.step(closure)


class Deterministic(Momentum):
    def step(self, i: int) -> None:
        before = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True)
        try:
            super().step(i)
        finally:
            torch.use_deterministic_algorithms(before)


KINDS: list[Callable[[], Bench]] = [
    Momentum, Nesterov, FusedAdam, ChannelsLast, Autocast, Scaled, Half, Complex, Sparse, Tied,
    Compiled, Checkpointed, SecondOrder, Hooked, Limited, Deterministic,
    lambda: Half(torch.float16),
]  # fmt: skip


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from flat(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from flat(one)
    elif isinstance(value, Tensor):
        yield value.dtype, value.layout, value.is_contiguous()
        yield value.detach().to_dense() if value.is_sparse else value.detach()
    else:
        yield value


def bits(tensor: Tensor) -> Tensor:
    """Its bytes: 0.0 is not -0.0, and one NaN is another."""
    return tensor.resolve_conj().contiguous().reshape(-1).view(torch.uint8)


def train(make: Callable[[], Bench], traced: bool) -> tuple[list[Any], Trace | None]:
    """Everything that training leaves behind."""
    torch.manual_seed(0)
    random.seed(0)
    bench = make()
    watching = trace(bench.net, bench.optimizer, into=[type(bench).step]) if traced else None
    with watching or contextlib.nullcontext() as routine:
        for i in range(STEPS):
            bench.step(i)
    left: list[Any] = [torch.get_rng_state(), random.getstate()]
    left += list(bench.net.parameters())
    left += [p.grad for p in bench.net.parameters()]
    left += [bench.net.state_dict(), bench.optimizer.state_dict()]
    left += [p._version for p in bench.net.parameters()]
    left += [None if p.grad is None else p.grad._version for p in bench.net.parameters()]
    left += [getattr(bench, "scaler", torch.amp.GradScaler(enabled=False)).state_dict()]
    left += [torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()]
    return list(flat(left)), routine


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Guards may run slower")  # torch.compile, on Python 3.13.0
@pytest.mark.parametrize("make", KINDS, ids=lambda kind: kind.__name__.strip("<>"))
def test_the_training_is_the_same_bit_for_bit(make: Callable[[], Bench]) -> None:
    bare, _ = train(make, traced=False)
    traced, routine = train(make, traced=True)
    assert len(bare) == len(traced)
    for a, b in zip(bare, traced, strict=True):
        if isinstance(a, Tensor):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert torch.equal(bits(a), bits(b))
        else:
            assert a == b
    assert routine is not None
    moved = [r for r in routine.records if r.changed_parameters]
    assert len(moved) >= STEPS - 1  # one of them may be skipped by a GradScaler


def test_readings_are_the_same_under_autocast() -> None:
    net = nn.Linear(64, 64)
    with trace(net) as plain:
        net.weight.data.mul_(1.01)
    with torch.no_grad():
        net.weight.div_(1.01)
    torch.manual_seed(0)
    for layer in net, (other := nn.Linear(64, 64)):
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
    with trace(net) as plain:
        net.weight.data.mul_(1.01)
    with torch.autocast("cpu", dtype=torch.bfloat16), trace(other) as cast:
        other.weight.data.mul_(1.01)
        other.weight.data.mul_(1)
    assert plain.records[0].after.parameters["weight"] == cast.records[0].after.parameters["weight"]
    assert cast.records[1].changed_parameters == ()


# The graph


def chain(node: Any) -> list[str]:
    """Names of the graph's nodes below this one, in a fixed order."""
    names, todo = [], [node]
    while todo:
        one = todo.pop()
        if one is not None:
            names.append(one.name())
            todo += [under for under, _ in one.next_functions]
    return names


def test_the_graph_is_the_same_and_saves_the_same_tensors() -> None:
    def run(traced: bool) -> tuple[list[str], list[tuple[int, ...]]]:
        torch.manual_seed(0)
        net, saved = convolutional(), []

        def pack(tensor: Tensor) -> Tensor:
            saved.append(tuple(tensor.shape))
            return tensor

        with (
            trace(net) if traced else contextlib.nullcontext(),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        ):
            outputs = net(torch.randn(4, 3, 8, 8))
            loss = functional.cross_entropy(outputs, torch.randint(10, (4,)))
        return chain(loss.grad_fn), saved

    bare, traced = run(False), run(True)
    assert bare == traced
    assert len(bare[0]) > 10


def test_the_graph_is_freed_as_ever() -> None:
    """A trace that held it would hold the memory of every activation."""
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    with trace(net):
        loss = net(torch.ones(1, 3)).sum()
        saved = weakref.ref(loss.grad_fn.next_functions[0][0]._saved_result.untyped_storage())
        assert saved() is not None
        loss.backward()
        gc.collect()
        alive = saved()
        del loss
    assert alive is None


def test_a_variable_that_is_deleted_is_freed_with_its_line() -> None:
    net = nn.Linear(3, 2)

    def train() -> list[object]:
        with trace(net):
            outputs = net(torch.ones(1, 3))
            memory = weakref.ref(outputs.untyped_storage())
            loss = outputs.detach().sum()
            del outputs
            found = [memory()]
            loss = loss + 1
            found.append(memory())
        return found

    assert train() == [None, None]


def test_a_gradient_is_freed_as_ever() -> None:
    net = nn.Linear(64, 64)
    with trace(net):
        net(torch.ones(1, 64)).sum().backward()
        memory = weakref.ref(net.weight.grad.untyped_storage())  # type: ignore[union-attr]
        net.zero_grad()
        alive = memory()
    assert alive is None


@pytest.mark.parametrize("into", [False, True])
def test_errors_of_the_graph_are_still_raised(into: bool) -> None:
    net: Any = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
    inputs = torch.ones(2, 3)

    def twice() -> None:
        loss = net(inputs).sum()
        loss.backward()
        loss.backward()

    def moved() -> None:
        loss = net(inputs).sum()
        with torch.no_grad():
            net[2].weight.mul_(2)
        loss.backward()

    for function, words in (twice, "second time"), (moved, "modified by an inplace operation"):
        with pytest.raises(RuntimeError, match=words), trace(net, into=[function] * into) as r:
            function()
        assert words in (r.records[-1].raised or "")


class Dispatches(TorchDispatchMode):
    """As a profiler, a FLOP counter or a memory tracker stands in a block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


class Functions(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.seen.append(getattr(function, "__name__", str(function)))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [Dispatches, Functions])
def test_a_mode_sees_nothing_of_the_trace(mode: type[Dispatches | Functions]) -> None:
    def run(traced: bool) -> list[str]:
        net = nn.Linear(64, 64)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, sgd) if traced else contextlib.nullcontext(), mode() as counting:
            net(torch.ones(2, 64)).sum().backward()
            net.bias.data.mul_(2)
            if mode is Dispatches:
                sgd.step()
                sgd.zero_grad()
        return counting.seen  # type: ignore[no-any-return]

    assert run(True) == run(False) != []


def test_under_another_default_device_and_dtype() -> None:
    net: Any = nn.Linear(64, 3)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), trace(net) as routine:
            net.weight.data.mul_(2)
            net.bias.grad = torch.zeros(3, device="cpu", dtype=torch.float32)
    finally:
        torch.set_default_dtype(before)
    assert [r.changed_parameters for r in routine.records] == [("weight",), ()]
    assert routine.records[1].changed_gradients == ("bias",)


@pytest.mark.parametrize("module", ["half", "to"])
def test_converting_by_swapping(module: str) -> None:
    """swap_tensors refuses tensors with weak references: the trace holds none."""
    net = nn.Linear(3, 2)
    net(torch.ones(1, 3)).sum().backward()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with trace(net) as routine:
            net.half() if module == "half" else net.to(torch.float64)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert routine.records[0].changed_parameters == ("weight", "bias")
    assert routine.records[0].changed_gradients == ("weight", "bias")


def test_functional_transforms_of_a_followed_function() -> None:
    net = nn.Linear(3, 2)
    parameters: dict[str, Tensor] = dict(net.named_parameters())

    def loss(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs = torch.func.functional_call(net, parameters, (inputs,))
        return outputs.square().sum()  # type: ignore[no-any-return]

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
    inputs = torch.arange(12.0).reshape(4, 3)
    bare = each(parameters, inputs)
    with trace(net, into=[loss]) as routine:
        traced = each(parameters, inputs)
    assert all(torch.equal(bare[name], traced[name]) for name in bare)
    assert {r.depth for r in routine.records} == {0, 1}
