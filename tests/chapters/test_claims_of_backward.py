"""What *Inside backward* says of torch without a cell that shows it, as in test_claims.py."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import nbformat
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests import ROOT
from tests.chapters.claims import Claims, Run

CLAIMS = Claims()
said = CLAIMS.said


@said(
    "05",
    "`backward` begins with what arrives at its tensor. For one number that is 1.",
    "leave `arrived` out, and only a plain sum comes out right.",
    "A `forward` that writes into its input has to say so, by `ctx.mark_dirty(x)`. Without it, the "
    "last way fails at the next write, `h += 1`.",
    "where no input requires a gradient no node is made.",
)
def what_a_function_is_given_and_has_to_say() -> None:
    seen: list[float] = []

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.mark_dirty(x)
            x *= 2
            return x

        @staticmethod
        def backward(ctx: Any, *arrived: torch.Tensor) -> torch.Tensor:
            seen.append(arrived[0].item())
            return torch.full_like(arrived[0], 2.0)  # what arrived is left out

    assert Double.apply(torch.ones(1)).grad_fn is None
    for factor in (1.0, 3.0):
        x = torch.ones(1, requires_grad=True)
        made = Double.apply(x.clone())
        made += 1
        (factor * made).sum().backward()
        assert seen.pop() == factor
        assert x.grad is not None
        assert (x.grad.item() == 2 * factor) == (factor == 1)


@said(
    "05",
    "It knows, for the node has kept the tensor's version [counter](glossary.md#version-counter), "
    "the number of writes so far, and finds another one.",
    "`h = h + 1` makes a new tensor, and is always right.",
)
def a_write_is_noticed_by_its_number() -> None:
    weight = torch.ones(3, requires_grad=True)
    for name in ("sigmoid", "exp", "relu", "square"):
        h = getattr(weight, name)()
        h = h + 1
        h.sum().backward()
    h = weight.sigmoid()
    h += 1
    with pytest.raises(RuntimeError, match="is at version 1; expected version 0"):
        h.sum().backward()


@said("05", "and SGD's step is five times as long. Adam's hardly changes.")
def how_long_a_step_five_times_the_gradient_makes() -> None:
    def step(kind: Callable[..., torch.optim.Optimizer], factor: float) -> torch.Tensor:
        p = nn.Parameter(torch.zeros(9))
        p.grad = factor * torch.linspace(-1, 1, 9)
        kind([p], lr=0.1).step()
        return p.detach()

    sgd, adam = torch.optim.SGD, torch.optim.Adam
    torch.testing.assert_close(step(sgd, 5), 5 * step(sgd, 1))
    torch.testing.assert_close(step(adam, 5), step(adam, 1), rtol=1e-6, atol=0)


@said("05", "each part runs a second time, as far as something is needed from it.")
def how_far_a_part_runs_again() -> None:
    runs = []
    part = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    for layer in (part[0], part[2]):
        layer.register_forward_hook(lambda layer, *_: runs.append(layer))
    checkpoint(part, torch.ones(1, 2), use_reentrant=False).sum().backward()
    assert runs == [part[0], part[2], part[0]]


@said("05", "What is saved grows with the batch; gradients and averages do not.")
def what_grows_with_the_batch() -> None:
    sizes = []
    for batch in (8, 16):
        net = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        optimizer = torch.optim.Adam(net.parameters())
        saved: list[int] = []

        def pack(tensor: torch.Tensor, saved: list[int] = saved) -> torch.Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = net(torch.rand(batch, 4)).square().mean()
        loss.backward()
        optimizer.step()
        averages = [t.numel() for state in optimizer.state.values() for t in state.values()]
        sizes.append((sum(saved), [p.grad.shape for p in net.parameters()], averages))  # type: ignore[union-attr]
    (few, *rest), (many, *same) = sizes
    assert many > 1.5 * few
    assert rest == same


@said(
    "05",
    "The slope of a sigmoid is at most 1/4",
    "and PyTorch's small first weights have their part in it.",
)
def why_a_gradient_vanishes() -> None:
    def ratio(scale: float) -> float:
        torch.manual_seed(0)
        net: Any = nn.Sequential(*[m for _ in range(9) for m in (nn.Linear(64, 64), nn.Sigmoid())])
        with torch.no_grad():
            for p in net.parameters():
                p *= scale
        net(torch.randn(128, 64)).square().mean().backward()
        first, last = (float(net[i].weight.grad.norm()) for i in (0, 16))
        return first / last

    x = torch.linspace(-9, 9, 1001, requires_grad=True)
    x.sigmoid().sum().backward()
    assert x.grad is not None
    assert x.grad.max() == pytest.approx(0.25)
    assert ratio(4.0) > 100 * ratio(1.0)


@said(
    "05",
    "write `=` for that `+=`, and run both cells again. None of the four gradients is right:",
)
def what_an_autograd_that_does_not_add_finds() -> None:
    (path,) = ROOT.glob("book/05_*.ipynb")
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    (made,) = (source for source in cells if "class Number:" in source)
    (used,) = (source for source in cells if "mine = [numbers(" in source)
    broken = made.replace("arrived[before] += ", "arrived[before] = ")
    assert broken != made
    for code, right in (made, True), (broken, False):
        torch.manual_seed(2)
        net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        inputs, labels = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
        nn.CrossEntropyLoss()(net(inputs), labels).backward()
        names = {"math": math, "torch": torch, "net": net, "inputs": inputs, "labels": labels}
        with redirect_stdout(io.StringIO()) as said_by_it:
            exec(f"{code}\n\n{used}", names)
        assert said_by_it.getvalue().count(f"as torch: {right}") == 4


@CLAIMS.each()
def test_it_is_so(run: Run) -> None:
    CLAIMS.hold(run)
