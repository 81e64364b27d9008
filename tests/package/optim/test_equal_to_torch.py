"""companion's optimizers against torch's, path by path: equal means `torch.equal`."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import companion
from companion import Net, digits
from tests.package.optim.twins import (
    CASES,
    DTYPES,
    NAMES,
    OPTIONS,
    PATHS,
    SHAPES,
    Twins,
    each_optimizer,
    random,
    same,
)
from tests.package.versions import since

T = torch.tensor
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_bitwise_equal_to_torch(
    name: str, options: dict[str, Any], path: str, dtype: torch.dtype
) -> None:
    """Every option, every path, every dtype, climbing and descending, a first gradient late."""
    for maximize in False, True:
        torch.manual_seed(0)
        params = [torch.randn(shape, dtype=dtype) for shape in SHAPES]
        twins = Twins(name, params, **options, **PATHS[path], maximize=maximize)
        for step in range(4):
            grads = random(twins.theirs)
            if step == 0:
                grads[2] = None
            twins.step(grads)
        if options.get("lr") != 0:
            assert not torch.equal(twins.ours[2], params[2])  # something was compared


TENSORS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": T(0.1)}),
    ("SGD", {"lr": T(0.1, dtype=torch.float64), "weight_decay": T(0.1)}),
    ("SGD", {"lr": T(0.1, requires_grad=True)}),
    *(
        (name, options)
        for name in ("Adam", "AdamW")
        for options in (
            {"lr": T(0.1)},
            {"lr": T(0.1), "betas": (T(0.9, dtype=torch.float64), T(0.99, dtype=torch.float64))},
        )
    ),
]
# Of one entry, and not of no dimension.
ENTRIES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": T([[0.1]]), "momentum": 0.9}),
    *(
        (name, options)
        for name in ("Adam", "AdamW")
        for options in (
            {"lr": T([0.1], dtype=torch.float64), "weight_decay": 0.1},
            {"betas": (T(0.9), T([0.99]))},
        )
    ),
]
CANNOT = since("2.14", "its own optimizers raise here")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("name", "options"), [*TENSORS, *(pytest.param(*one, marks=CANNOT) for one in ENTRIES)], ids=str
)
def test_tensor_options(name: str, options: dict[str, Any], path: str) -> None:
    """PyTorch's own case makes such an optimizer and never takes a step with it."""
    if name != "SGD" and path == "foreach":
        with pytest.raises(ValueError, match="as a Tensor is not supported for capturable=False"):
            Twins(name, [T(0.0)], **options, **PATHS[path])
        with pytest.raises(ValueError, match=r"Write (lr|betas) as .*or leave foreach out"):
            getattr(companion, name)([nn.Parameter(T(0.0))], **options, **PATHS[path])
        return
    for dtype in DTYPES:
        torch.manual_seed(0)
        params = [torch.randn(shape, dtype=dtype) for shape in SHAPES]
        twins = Twins(name, params, **options, **PATHS[path])
        for _ in range(3):
            twins.step(random(twins.theirs))
        assert not torch.equal(twins.ours[2], params[2])


def test_a_parameter_without_dimensions_takes_on_the_dtype_of_a_tensor_beta() -> None:
    """On its way to the denominator, as in torch; rounding it back early would show here."""
    for seed in range(20):
        torch.manual_seed(seed)
        twins = Twins("Adam", [torch.randn(())], betas=(T(0.9).double(), T(0.99).double()))
        for _ in range(3):
            twins.step(random(twins.theirs))


@each_optimizer
def test_a_whole_training_ends_the_same(name: str) -> None:
    """The claim of chapters 4 and 7, on the digits, without a choice of path."""
    images, targets = digits().images, digits().targets
    start, ends = Net(), []
    for module in torch.optim, companion:
        net = copy.deepcopy(start)
        optimizer = getattr(module, name)(net.parameters(), lr=0.01)
        for i in range(0, 960, 32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[i : i + 32]), targets[i : i + 32]).backward()
            optimizer.step()
        ends.append(list(net.parameters()))
    assert all(map(torch.equal, *ends))
    assert not any(map(torch.equal, ends[0], start.parameters()))


def test_parameters_of_several_dtypes() -> None:
    """foreach takes them in lists of one dtype, and a first step in one list is not in another."""
    for name in NAMES:
        for options in OPTIONS[name]:
            torch.manual_seed(0)
            params = [torch.randn(5, dtype=dtype) for dtype in DTYPES for _ in range(2)]
            twins = Twins(name, params, **options, foreach=True)
            for step in range(3):
                grads = random(twins.theirs)
                grads[2 * step] = None
                twins.step(grads)


# But where torch's foreach path writes to .grad, its second move is by what the first has written.
TWICE = [
    (name, options, foreach)
    for name, options in CASES
    for foreach in (False, True)
    if not (foreach and options == {"momentum": 0.9, "nesterov": True})
]


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate")
@pytest.mark.parametrize(("name", "options", "foreach"), TWICE, ids=str)
def test_the_same_parameter_twice(name: str, options: dict[str, Any], foreach: bool) -> None:
    """torch warns and moves it twice, with one state; so do we."""
    ends = []
    for module in torch.optim, companion:
        torch.manual_seed(0)
        p = nn.Parameter(torch.randn(5))
        optimizer = getattr(module, name)([p, p], **{"lr": 0.1, **options}, foreach=foreach)
        for _ in range(3):
            p.grad = torch.randn(5)
            optimizer.step()
        ends.append(p)
    assert torch.equal(*ends)


@since("2.14", "it reads its step count on the default device")
def test_the_default_device_is_not_asked() -> None:
    """The step count stays on the CPU, as torch's does."""
    for path in PATHS.values():
        twins = Twins("Adam", [torch.ones(3)], **path)
        with torch.device("meta"):
            for _ in range(2):
                twins.give([torch.ones(3, device="cpu")])
                twins.torchs.step()
                twins.companions.step()
        twins.assert_same()


@since("2.10", "a gradient has its parameter's dtype")
def test_gradients_and_buffers_of_other_dtypes() -> None:
    """A gradient in bfloat16 (torch 2.10's `grad_dtype`), a buffer that is kept in float64."""
    for dtype in torch.bfloat16, torch.float64:
        for options in OPTIONS["SGD"]:
            for maximize in False, True:
                torch.manual_seed(0)
                twins = Twins("SGD", [torch.randn(100)], **options, maximize=maximize)
                for p in twins.theirs[0], twins.ours[0]:
                    p.grad_dtype = dtype
                for _ in range(3):
                    twins.step([torch.randn(100, dtype=dtype)])
                    for optimizer in twins.torchs, twins.companions:
                        optimizer.load_state_dict(optimizer.state_dict())


def test_integer_parameters() -> None:
    for module in torch.optim, companion:
        p = torch.tensor([1, 2])
        optimizer = module.SGD([p], lr=1)
        p.grad = torch.tensor([1, 0])
        optimizer.step()
        assert p.tolist() == [0, 2]


def test_float16_divides_by_zero_as_torchs_does() -> None:
    """eps of 1e-8 is 0 in float16: a zero gradient gives 0 / 0."""
    for path in PATHS.values():
        twins = Twins("Adam", [torch.ones(3, dtype=torch.float16)], **path)
        twins.step([torch.zeros(3, dtype=torch.float16)])
        assert twins.ours[0].isnan().all()


def test_the_same_formula_on_paper_is_not_bitwise_equal() -> None:
    """Why "equal" must name the path it is equal to. Chapters 4, 6 and 7."""
    p, grad, m = torch.randn(10_007), torch.randn(10_007), torch.randn(10_007)
    assert not torch.equal(p - grad / 10, p.clone().add_(grad, alpha=-0.1))
    assert not torch.equal(0.9 * m + 0.1 * grad, m.clone().lerp_(grad, 0.1))
    half = m.bfloat16()
    product = half.clone()
    torch._foreach_mul_([product], 0.9)
    assert not torch.equal(product, half.clone().mul_(0.9))  # torch's own two paths differ


@each_optimizer
def test_groups_have_options_of_their_own(name: str) -> None:
    params = [torch.ones(2), torch.ones(3), torch.ones(4)]
    twins = Twins(name, params[:1], weight_decay=0.1)
    for optimizer, mine in (twins.torchs, twins.theirs), (twins.companions, twins.ours):
        mine += [p.clone().requires_grad_() for p in params[1:]]
        optimizer.add_param_group({"params": mine[1], "lr": 0.5, "weight_decay": 0})
        optimizer.add_param_group({"params": [mine[2]], "foreach": True, "maximize": True})
    for _ in range(3):
        twins.step(random(twins.theirs))
    assert twins.ours[2].max() > 1 or twins.ours[2].min() < 1


def test_named_parameters() -> None:
    net = Net()
    for name in NAMES:
        named = [
            getattr(module, name)(net.named_parameters()) for module in (torch.optim, companion)
        ]
        names = [optimizer.param_groups[0].get("param_names") for optimizer in named]
        assert names[0] == names[1] == [n for n, _ in net.named_parameters()]


def test_state_is_empty_without_momentum_and_late_where_gradients_are() -> None:
    for name, keys in ("SGD", []), ("Adam", ["step", "exp_avg", "exp_avg_sq"]):
        twins = Twins(name, [torch.ones(2), torch.ones(2)])
        twins.step([torch.ones(2), None])
        assert list(twins.companions.state[twins.ours[0]]) == keys
        assert twins.ours[1] not in twins.companions.state
    assert not torch.equal(twins.ours[0], twins.ours[1])


def test_nothing_moves_without_gradients() -> None:
    """PyTorch's own case takes the step and asserts nothing."""
    for name, options in CASES:
        for path in PATHS.values():
            twins = Twins(name, [torch.ones(3)], **options, **path)
            twins.step([None])
            assert torch.equal(twins.ours[0], torch.ones(3))


@pytest.mark.parametrize("path", PATHS)
def test_a_zero_gradient_coasts_on(path: str) -> None:
    """Without history nothing moves; with it, the parameter goes on."""
    for name, options in ("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {"weight_decay": 0}):
        zero = torch.zeros(3)
        twins = Twins(name, [torch.ones(3)], **options, **PATHS[path])
        twins.step([zero])
        assert torch.equal(twins.ours[0], torch.ones(3))
        twins.step([torch.ones(3)])
        there = twins.ours[0].detach().clone()
        twins.step([zero])
        assert (twins.ours[0] < there).all()


def test_no_gradient_is_written_to_where_torch_writes() -> None:
    """The two places named in the docstring; `Twins.step` looks at every other case."""
    grad = torch.ones(3)
    twins = Twins("SGD", [torch.ones(3)], momentum=0.9, nesterov=True, foreach=True)
    twins.step([grad])
    assert not torch.equal(twins.theirs[0].grad, grad)  # type: ignore[arg-type]
    twins = Twins("SGD", [torch.ones(3)], weight_decay=T(0.1, requires_grad=True))
    twins.step([grad])
    assert not torch.equal(twins.theirs[0].grad, grad)  # type: ignore[arg-type]


def test_the_step_count_is_in_the_default_dtype() -> None:
    for dtype in torch.float64, torch.bfloat16:
        try:
            torch.set_default_dtype(dtype)
            twins = Twins("Adam", [torch.ones(3)])
            twins.step([torch.ones(3)])
        finally:
            torch.set_default_dtype(torch.float32)
        step = twins.companions.state[twins.ours[0]]["step"]
        assert step.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


# Differentiable steps.


def trained(name: str, steps: int, module: Any, values: dict[str, Any], **options: Any) -> Tensor:
    """A number that depends on tensor options through some steps."""
    p0 = torch.tensor([1.0, -2.0], dtype=torch.float64)
    p = p0.requires_grad_().clone()
    optimizer = getattr(module, name)([p], differentiable=True, **values, **options)
    for i in range(steps):
        p.grad = torch.tensor([0.5, 0.3 * i - 1], dtype=torch.float64)
        optimizer.step()
    return (p * p).sum()


HYPER: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"maximize": True}),
]


@pytest.mark.parametrize(("name", "options"), HYPER, ids=str)
def test_the_gradient_of_an_option_is_right(name: str, options: dict[str, Any]) -> None:
    """Through several steps, against finite differences: torch.autograd.gradcheck."""

    def of(*values: Tensor) -> Tensor:
        named = {"lr": values[0], "weight_decay": values[1]}
        if name != "SGD":
            named["betas"] = values[2:]  # type: ignore[assignment]
        return trained(name, 3, companion, named, **options)

    start = [0.1, 0.01] + ([] if name == "SGD" else [0.9, 0.99])
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in start]
    assert torch.autograd.gradcheck(of, inputs)


@each_optimizer
def test_differentiable_gradients_are_torchs(name: str) -> None:
    """After one step. After more, torch's may fail in the backward, or round otherwise."""
    gradients = []
    for module in torch.optim, companion:
        lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        trained(name, 1, module, {"lr": lr}).backward()
        gradients.append(lr.grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    assert torch.equal(gradients[0], gradients[1])


def test_where_torchs_differentiable_step_fails() -> None:
    """In the backward, after several steps: what the docstrings say. torch cuts one path off."""
    for name, option, options in (
        ("SGD", "lr", {"momentum": 0.9}),
        ("Adam", "weight_decay", {"amsgrad": True}),
    ):
        value = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        loss = trained(name, 3, torch.optim, {option: value}, **options)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        trained(name, 3, companion, {option: value}, **options).backward()
        assert value.grad is not None
        assert math.isfinite(value.grad)

    gradients = []
    for module in torch.optim, companion:
        decay = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        trained("SGD", 3, module, {"weight_decay": decay}, momentum=0.9).backward()
        gradients.append(decay.grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    # ours is right: `test_the_gradient_of_an_option_is_right`
    assert not torch.equal(gradients[0], gradients[1])

    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    with pytest.raises(TypeError, match="_foreach_add_"):
        trained("SGD", 1, torch.optim, {"lr": lr}, foreach=True)


def test_same_can_fail() -> None:
    nan = torch.tensor([math.nan, 1.0])
    assert same(nan, nan.clone())
    assert not same(nan, torch.tensor([math.nan, 1.0000001]))
    assert not same(nan, torch.tensor([1.0, math.nan]))
    assert not same(torch.ones(1), torch.ones(1, dtype=torch.float64))
