"""companion.SGD against torch.optim.SGD(foreach=False): equal means `torch.equal`."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from companion import SGD, Net, digits

OPTIONS: list[dict[str, Any]] = [
    {},
    {"lr": 0.0},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "dampening": -0.5},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64]


def pair(params: list[Tensor], **options: Any) -> tuple[list[Tensor], list[Tensor], Any, Any]:
    """The same parameters twice: one copy for torch's SGD, one for ours."""
    theirs, ours = (
        [p.detach().clone().requires_grad_() for p in params] for _ in ("theirs", "ours")
    )
    theirs_sgd = torch.optim.SGD(theirs, foreach=False, **options)
    return theirs, ours, theirs_sgd, SGD(ours, **options)


def assert_same(theirs: list[Tensor], ours: list[Tensor], a: Any, b: Any) -> None:
    for x, y in zip(theirs, ours, strict=True):
        assert torch.equal(x, y)
        assert state(a, x).keys() == state(b, y).keys()
        for key, value in state(a, x).items():
            assert torch.equal(value, state(b, y)[key])


def state(optimizer: Any, p: Tensor) -> dict[str, Tensor]:
    """What is kept for one parameter; older torch noted an absent momentum buffer as None."""
    return {k: v for k, v in optimizer.state.get(p, {}).items() if v is not None}


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bitwise_equal_to_torch(
    options: dict[str, Any], dtype: torch.dtype, maximize: bool
) -> None:
    torch.manual_seed(0)
    shapes = [(), (7,), (13, 11), (0, 3), (1009,)]
    params = [torch.randn(shape, dtype=dtype) for shape in shapes]
    theirs, ours, a, b = pair(params, **{"lr": 0.1, **options}, maximize=maximize)
    for _ in range(5):
        for x, y in zip(theirs, ours, strict=True):
            x.grad = torch.randn_like(x)
            y.grad = x.grad.clone()
        a.step()
        b.step()
        assert_same(theirs, ours, a, b)
    if options.get("lr") != 0:
        assert not torch.equal(theirs[2], params[2])  # something was compared


def test_a_whole_training_ends_the_same() -> None:
    """The claim of chapter 4, on the digits."""
    images, targets = digits().images, digits().targets
    start = Net()
    ends = []
    for make in (
        lambda net: torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, foreach=False),
        lambda net: SGD(net.parameters(), 0.05, momentum=0.9),
    ):
        net = copy.deepcopy(start)
        optimizer = make(net)
        for i in range(0, 960, 32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[i : i + 32]), targets[i : i + 32]).backward()
            optimizer.step()
        ends.append(list(net.parameters()))
    assert all(map(torch.equal, *ends))
    assert not any(map(torch.equal, ends[0], start.parameters()))


def test_the_same_formula_on_paper_is_not_bitwise_equal() -> None:
    """Why "equal" must name the path it is equal to. Chapter 4."""
    torch.manual_seed(0)
    p, grad = torch.randn(10_007), torch.randn(10_007)
    assert not torch.equal(p - grad / 10, p.clone().add_(grad, alpha=-0.1))


gradient = st.sampled_from(["none", "zero", "random", "nan", "sparse"])


@settings(deadline=None)
@given(st.lists(st.tuples(gradient, gradient), max_size=6), st.sampled_from(OPTIONS), st.data())
def test_any_sequence_of_gradients(
    steps: list[tuple[str, str]], options: dict[str, Any], data: st.DataObject
) -> None:
    """None skips a parameter, zero coasts on, the first gradient may come late."""
    torch.manual_seed(0)
    theirs, ours, a, b = pair([torch.randn(5, 3), torch.randn(5, 3)], **{"lr": 0.1, **options})
    for kinds in steps:
        for x, y, kind in zip(theirs, ours, kinds, strict=True):
            x.grad = make_gradient(kind, x)
            y.grad = None if x.grad is None else x.grad.clone()
        if data.draw(st.booleans()):
            lr = data.draw(st.sampled_from([0.0, 0.01, 1.0]))
            a.param_groups[0]["lr"] = b.param_groups[0]["lr"] = lr
        refusals = [refusal(a), refusal(b)]
        assert refusals[0] == refusals[1]
        if refusals[0]:
            return  # such as a sparse gradient after a dense one
        for x, y in zip(theirs, ours, strict=True):
            assert torch.equal(x.nan_to_num(7.0), y.nan_to_num(7.0))
            assert state(a, x).keys() == state(b, y).keys()


def refusal(optimizer: torch.optim.Optimizer) -> str | None:
    try:
        optimizer.step()
    except RuntimeError as error:
        return str(error)
    return None


def make_gradient(kind: str, like: Tensor) -> Tensor | None:
    if kind == "none":
        return None
    if kind == "sparse":
        return torch.sparse_coo_tensor(torch.tensor([[3, 1, 3]]), torch.randn(3, 3), (5, 3))
    fill = {"zero": 0.0, "nan": math.nan}.get(kind)
    return torch.randn_like(like) if fill is None else torch.full_like(like, fill)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_training_goes_on_after_a_checkpoint(options: dict[str, Any]) -> None:
    """Into ours from ours, from torch's, through pickle and through a copy."""
    torch.manual_seed(0)
    theirs, ours, a, b = pair([torch.randn(5)], **{"lr": 0.1, **options})
    gradients = torch.randn(4, 5)
    for i, gradient in enumerate(gradients):
        theirs[0].grad, ours[0].grad = gradient.clone(), gradient.clone()
        a.step()
        b.step()
        assert_same(theirs, ours, a, b)
        if i == 0:
            b.load_state_dict(b.state_dict())
        elif i == 1:
            b.load_state_dict(copy.deepcopy(a.state_dict()))  # the tensors would be shared
        elif i == 2:
            b = pickle.loads(pickle.dumps(copy.deepcopy(b)))
            ours = b.param_groups[0]["params"]


def test_no_gradient_is_written_to() -> None:
    for options in OPTIONS:
        p = torch.randn(5, requires_grad=True)
        p.grad = torch.randn(5)
        before = p.grad.clone()
        optimizer = SGD([p], **{"lr": 0.1, **options})
        for _ in range(3):
            optimizer.step()
            assert torch.equal(p.grad, before)


def test_state_is_empty_without_momentum() -> None:
    p = torch.ones(2, requires_grad=True)
    p.grad = torch.ones(2)
    optimizer = SGD([p], lr=0.1)
    optimizer.step()
    assert not optimizer.state


def test_groups_have_options_of_their_own() -> None:
    params = [torch.ones(2), torch.ones(3)]
    theirs, ours = ([p.clone().requires_grad_() for p in params] for _ in range(2))

    def groups(params: list[Tensor]) -> list[dict[str, Any]]:
        return [{"params": params[:1]}, {"params": params[1:], "lr": 0.5, "momentum": 0.9}]

    a, b = torch.optim.SGD(groups(theirs), lr=0.1, foreach=False), SGD(groups(ours), lr=0.1)
    for p in [*theirs, *ours]:
        p.grad = torch.full_like(p, 0.3)
    for _ in range(3):
        a.step()
        b.step()
    assert_same(theirs, ours, a, b)


def test_closure_runs_with_gradients_and_its_loss_comes_back() -> None:
    p = torch.ones(2, requires_grad=True)
    optimizer = SGD([p], lr=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step() is None
    assert optimizer.step(closure) == 2.0
    assert torch.equal(p, torch.zeros(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.1}, r"Invalid learning rate: -0.1; lr must be 0 or more"),
        ({"lr": math.nan}, r"Invalid learning rate: nan; lr must be 0 or more"),
        ({"momentum": -1}, r"Invalid momentum value: -1; momentum must be 0 or more"),
        ({"weight_decay": -1}, r"Invalid weight_decay value: -1; weight_decay must be 0 or more"),
        ({"nesterov": True}, r"Nesterov momentum requires a momentum and zero .* momentum=0,"),
        (
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            r"Nesterov momentum requires a momentum and zero dampening; .* dampening=0.1",
        ),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    p = torch.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match=message):
        SGD([p], **options)
    with pytest.raises(ValueError, match=message):
        SGD([{"params": [p], **options}])  # torch accepts a group's lr of -1
    optimizer = SGD([torch.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": [p], **options})


def test_bad_lr_tensor_and_bad_group() -> None:
    p = torch.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match=r"Tensor lr must be 1-element, not \(2,\)"):
        SGD([p], lr=torch.ones(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="param_group must be a dict"):
        SGD([p]).add_param_group([p])  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"momentum": -1.0}, {"weight_decay": -1.0}])
def test_messages_begin_with_torchs_own_words(options: dict[str, float]) -> None:
    p = torch.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="Invalid") as theirs:
        torch.optim.SGD([p], **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Invalid") as ours:
        SGD([p], **options)  # type: ignore[arg-type]
    assert str(ours.value).startswith(str(theirs.value))
