"""What the glossary says of the inside of a backward is so: a run for each entry."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError, gradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from tests.chapters.glossary import equal, grads, of, problem


def saved_by(node: Any) -> set[str]:
    names = {name for name in dir(node) if name.startswith("_saved_")}
    return {name[7:] for name in names if isinstance(getattr(node, name), Tensor)}


@of("saved tensor")
def test_what_a_node_has_saved() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    kinds: list[tuple[Any, set[str]]] = [
        (nn.Linear(2, 2)(x), {"mat1", "mat2"}),
        (x.exp(), {"result"}),
        (x.sum(), set()),
    ]
    for made, saved in kinds:
        assert saved_by(made.grad_fn) == saved

    made = x.exp()
    total = made.sum()
    total.backward()
    with pytest.raises(RuntimeError, match="after they have already been freed"):
        saved_by(made.grad_fn)

    for way, noticed in (Tensor.detach, True), (lambda t: t.data, False):
        x.grad, made = None, x.exp()
        way(made).zero_()
        if noticed:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                made.sum().backward()
        else:
            made.sum().backward()
            assert x.grad is not None
            assert not x.grad.any()


@of("create_graph")
def test_a_gradient_with_a_graph() -> None:
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    def slope(create_graph: bool) -> tuple[Tensor, Tensor]:
        x = torch.full((3,), 2.0, requires_grad=True)
        kept.clear()
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            (found,) = torch.autograd.grad((x**3).sum(), x, create_graph=create_graph)
        return x, found

    x, found = slope(create_graph=False)
    assert found.grad_fn is None
    assert not found.requires_grad
    alone = len(kept)
    x, found = slope(create_graph=True)
    assert len(kept) > alone
    ((found - 1) ** 2).sum().backward()
    torch.testing.assert_close(x.grad, 2 * (3 * x**2 - 1).detach() * 6 * x.detach())
    x.grad = None
    with pytest.warns(UserWarning, match="can cause a memory leak"):
        (x**3).sum().backward(create_graph=True)
    assert x.grad is not None
    assert x.grad.requires_grad
    x.grad = None


class Twice(torch.autograd.Function):
    """Twice a number, or `factor` times."""

    right = True

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: Any, *arrived: Tensor) -> Any:
        slope = ctx.factor if Twice.right else 1.0
        return arrived[0] * slope, None


class Short(Twice):
    """Two arguments, one gradient."""

    @staticmethod
    def backward(ctx: Any, *arrived: Tensor) -> Any:
        return arrived[0]


@of("Function (autograd Function)", "gradcheck")
def test_a_function_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    made = Twice.apply(x, 2.0)
    assert made.grad_fn.name() == "TwiceBackward"
    (3 * made).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [6, 6, 6]

    class Context:
        factor = 0.0

    by_hand = Twice.forward(Context(), x, 2.0)
    assert by_hand.grad_fn is not None
    assert by_hand.grad_fn.name() == "MulBackward0"
    with pytest.raises(RuntimeError, match=r"incorrect number of gradients \(expected 2, got 1\)"):
        Short.apply(x, 2.0).sum().backward()

    def checked(inputs: Tensor) -> bool:
        return gradcheck(lambda t: Twice.apply(t, 2.0), (inputs,))

    assert checked(x)
    single = torch.tensor([0.3, 0.6, 0.9], requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(GradcheckError):
            checked(single)
    assert any("double precision" in str(warning.message) for warning in caught)
    monkeypatch.setattr(Twice, "right", False)
    with pytest.raises(GradcheckError):
        checked(x)


@of("recomputing (activation checkpointing)")
def test_recomputing() -> None:
    """That the peak of memory is lower, the chapter draws; here, that less is saved."""
    net, inputs, labels = problem()
    runs: list[int] = []
    net[0].register_forward_hook(lambda *_: runs.append(1))
    found, saved = [], []
    for recomputes in (False, True):
        net.zero_grad()
        runs.clear()
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            scores = checkpoint(net, inputs, use_reentrant=False) if recomputes else net(inputs)
        nn.functional.cross_entropy(scores, labels).backward()
        found.append(grads(net))
        saved.append(sum(sizes))
        assert len(runs) == 1 + recomputes
    assert equal(*found)
    assert saved[1] < saved[0]
