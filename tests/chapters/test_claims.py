"""What chapters say of torch without a cell that shows it: each such sentence, and a run of it.

A sentence is looked up in its chapter, so that one that is rewritten needs a look here. Versions
of long ago are those of the release notes that the chapter cites; everything else runs.
"""

from __future__ import annotations

import inspect
import io
import math
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from typing import Any

import nbformat
import pytest
import torch
from torch import nn
from torch.optim.optimizer import _default_to_fused_or_foreach
from torch.utils._foreach_utils import _get_foreach_kernels_supported_devices
from torch.utils.data import DataLoader, TensorDataset

import companion
from tests import ROOT

CHECKED: dict[Callable[[], None], list[tuple[str, str]]] = {}


def said(chapter: str, *sentences: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register what a run stands for."""

    def register(run: Callable[[], None]) -> Callable[[], None]:
        CHECKED.setdefault(run, []).extend((chapter, sentence) for sentence in sentences)
        return run

    return register


@cache
def prose(chapter: str) -> str:
    """The text cells of a chapter, each run of white space one space."""
    (path,) = ROOT.glob(f"book/{chapter}*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    return re.sub(r"\s+", " ", " ".join(c.source for c in cells if c.cell_type == "markdown"))


@said(
    "01",
    "Without the forward pass or the loss, Python stops with an error. Without `backward` the "
    "network stays what it was. Without `zero_grad` everything runs",
)
def without_one_of_the_lines() -> None:
    lines = {
        "zero_grad": "optimizer.zero_grad()",
        "forward": "outputs = net(inputs)",
        "loss": "loss = criterion(outputs, labels)",
        "backward": "loss.backward()",
        "step": "optimizer.step()",
    }
    for missing in lines:
        torch.manual_seed(0)
        net = nn.Linear(3, 2)
        names = {
            "net": net,
            "optimizer": torch.optim.Adam(net.parameters(), lr=0.001),
            "criterion": nn.CrossEntropyLoss(),
            "inputs": torch.rand(4, 3),
            "labels": torch.tensor([0, 1, 0, 1]),
        }
        start = net.weight.detach().clone()
        code = "\n".join(line for name, line in lines.items() if name != missing)
        if missing in ("forward", "loss"):
            with pytest.raises(NameError):
                exec(code, names)
        else:
            exec(code, names)
            assert torch.equal(net.weight, start) == (missing in ("backward", "step"))


@said(
    "03",
    "An optimizer with [momentum](glossary.md#momentum) or weight decay does, where this backward "
    "does not reach a parameter: with a gradient of zeros it still moves it, and `None` makes it "
    "stand still.",
)
def a_gradient_of_zeros_still_moves() -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, False),
        ({"momentum": 0.9}, True),
        ({"weight_decay": 0.1}, True),
    ]
    for options, moves in cases:
        p = nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([p], lr=0.1, **options)
        p.grad = torch.ones(1)
        optimizer.step()
        for set_to_none in (False, True):
            optimizer.zero_grad(set_to_none=set_to_none)
            before = p.item()
            optimizer.step()
            assert (p.item() != before) == (moves and not set_to_none)


@said("03", "On a CPU the trace adds up such squares in `float64`.")
def the_norm_of_what_is_too_small_to_be_squared() -> None:
    net = nn.Linear(1, 1, bias=False)
    with companion.trace(net) as routine:
        net.weight.grad = torch.full((1, 1), 1e-30)
    assert net.weight.grad is not None
    assert (net.weight.grad.square().sum().sqrt() == 0).item()
    reading = routine.records[0].after.gradients["weight"]
    assert reading is not None
    assert reading.norm == pytest.approx(1e-30)


@said(
    "04",
    "**`@_use_grad_for_differentiable`** is `torch.no_grad()` under another name, unless the "
    "optimizer was built with `differentiable=True`.",
    "**The closure** runs under `torch.enable_grad()`.",
)
def whether_a_step_records() -> None:
    for differentiable in (False, True):
        inside: list[bool] = []
        p = nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([p], lr=0.1, differentiable=differentiable)
        fill = optimizer._init_group

        def watched(*args: object, record: Any = inside.append, fill: Any = fill) -> object:
            record(torch.is_grad_enabled())
            return fill(*args)

        def closure(record: Any = inside.append) -> float:
            record(torch.is_grad_enabled())
            return 0.0

        optimizer._init_group = watched  # type: ignore[method-assign]
        optimizer.step(closure)
        assert inside == [True, differentiable]


@said("04", "On CUDA it is foreach, as the documentation of")
@said("06", "it tries `foreach` first.")
def what_the_device_decides() -> None:
    """The CPU's loop by a run; what CUDA takes by torch's own list, and by its docstring."""
    p = nn.Parameter(torch.ones(1))
    assert _default_to_fused_or_foreach([p], False, use_fused=False) == (False, False)
    assert "cuda" in _get_foreach_kernels_supported_devices()
    assert "cpu" not in _get_foreach_kernels_supported_devices()
    text = re.sub(r"\s+", " ", torch.optim.SGD.__doc__ or "")
    assert "foreach over the for-loop implementation on CUDA" in text


@said("06", "Ours has the first two; `fused`, it refuses.")
def fused_is_refused() -> None:
    with pytest.raises(ValueError, match="no fused=True"):
        companion.SGD([nn.Parameter(torch.ones(1))], lr=0.1, fused=True)


@said("06", "`maximize`, which flips the sign of the gradient.")
def maximize_flips_the_sign() -> None:
    for kind in (torch.optim.SGD, companion.SGD):
        p, q = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        p.grad, q.grad = torch.full((1,), 3.0), torch.full((1,), -3.0)
        kind([p], lr=0.1, momentum=0.9, weight_decay=0.1, maximize=True).step()
        kind([q], lr=0.1, momentum=0.9, weight_decay=0.1).step()
        assert torch.equal(p, q)


@said(
    "06",
    "Other steps write into `.grad`, too: `fused` under a `GradScaler`; a step that is given a "
    "[closure](glossary.md#closure), as LBFGS must be, for it runs the closure and with it "
    "`backward`; and SGD with a weight decay that is a tensor and requires a gradient.",
)
def steps_that_write_gradients() -> None:
    p = nn.Parameter(torch.ones(1))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    optimizer = torch.optim.SGD([p], lr=0.1, fused=True)
    scaler.scale(3 * p.sum()).backward()
    assert p.grad == 24
    scaler.step(optimizer)
    assert p.grad == 3

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    for given in (torch.optim.SGD([p], lr=0.1), torch.optim.LBFGS([p], lr=0.1)):
        p.grad = None
        given.step(closure)  # type: ignore[no-untyped-call]
        assert p.grad is not None
    with pytest.raises(TypeError, match="closure"):
        torch.optim.LBFGS([p]).step()  # type: ignore[call-arg]

    p.grad = torch.ones(1)
    decay = torch.tensor(0.5, requires_grad=True)
    torch.optim.SGD([p], lr=0.1, weight_decay=decay).step()
    assert p.grad != 1


@said(
    "07",
    "It is 1e-8 unless you say otherwise.",
    "In `float16`, a number in 16 bits, 1e-8 is rounded to 0",
    "the square of 0.0001 is 0 in `float16`",
)
def eps_in_float16() -> None:
    assert inspect.signature(torch.optim.Adam).parameters["eps"].default == 1e-8
    assert torch.tensor(1e-8, dtype=torch.float16) == 0
    assert torch.tensor(1e-4, dtype=torch.float16).square() == 0


@said(
    "07",
    "survives both in this one step. It keeps the second average in `float16` too, so it is no "
    "cure.",
    "or choose a much larger `eps`, such as 1e-4.",
)
def fused_and_a_larger_eps_in_float16() -> None:
    def moved(**options: Any) -> float:
        p = nn.Parameter(torch.ones(1, dtype=torch.float16))
        optimizer = torch.optim.Adam([p], lr=0.1, **options)
        for gradient in (1e-4, 0.0, 0.0):
            p.grad = torch.tensor([gradient], dtype=torch.float16)
            optimizer.step()
        return abs(p.item() - 1)

    assert moved(fused=True) > 100
    assert moved(foreach=False, eps=1e-4) < 1


@said(
    "04",
    "so after the next `zero_grad` it has no gradient, and neither of the two moves again.",
)
def a_new_parameter_is_not_moved_again() -> None:
    layer = nn.Linear(2, 1)
    old = layer.weight
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    layer.weight = nn.Parameter(old.detach() - 1)
    new, before = layer.weight, (old.detach().clone(), layer.weight.detach().clone())
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert torch.equal(old, before[0])
    assert torch.equal(new, before[1])


@said("07", "It never shrinks.")
def amsgrad_never_shrinks() -> None:
    p = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([p], betas=(0.9, 0.9), amsgrad=True)
    largest, averages = [], []
    for gradient in [1.0, 5.0, *[0.1] * 20]:
        p.grad = torch.tensor([gradient])
        optimizer.step()
        largest.append(optimizer.state[p]["max_exp_avg_sq"].item())
        averages.append(optimizer.state[p]["exp_avg_sq"].item())
    assert largest == sorted(largest)
    assert averages[-1] < max(averages) == largest[-1]


@said(
    "10",
    "The optimizer should be built after `net.cuda()`, says the docstring of `cuda`: it makes the "
    "parameters different objects.",
    "`cuda` goes the same way.",
)
def what_cuda_does_to_parameters() -> None:
    """Both hand a function to `_apply`; only what the function returns is a matter of the GPU."""
    text = re.sub(r"\s+", " ", nn.Module.cuda.__doc__ or "")
    assert "makes associated parameters and buffers different objects" in text
    assert "should be called before constructing the optimizer" in text
    for method in (nn.Module.to, nn.Module.cuda):
        assert "return self._apply(" in inspect.getsource(method)
    net = nn.Linear(1, 1)
    weight = net.weight
    net._apply(lambda tensor: tensor.to(torch.float64))
    assert net.weight is weight
    assert weight.dtype is torch.float64


@said(
    "05",
    "`backward` begins with what arrives at its tensor. For one number that is 1.",
    "leave `arrived` out, and only a plain sum comes out right.",
    "A `forward` that writes into its input has to say so, by `ctx.mark_dirty(x)`.",
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


@said(
    "08",
    "It would also pull the biases to 0, and the weights of BatchNorm, which begin at 1.",
)
def what_decays_where_nobody_chooses() -> None:
    net = nn.Sequential(nn.Linear(2, 2), norm := nn.BatchNorm1d(2))
    assert torch.equal(norm.weight, torch.ones(2))
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    before = [p.detach().clone() for p in net.parameters()]
    torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.1).step()
    for p, was in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), 0.99 * was)


@said(
    "08",
    "for ten classes, the loss cannot come below 1.461. In the last case no parameter moves.",
)
def two_softmaxes_and_the_wrong_optimizer() -> None:
    sure = torch.eye(10)[:1]
    assert nn.functional.cross_entropy(sure, torch.tensor([0])).item() == pytest.approx(
        1.461, abs=5e-4
    )
    ours, theirs = nn.Linear(2, 2), nn.Linear(2, 2)
    before = ours.weight.detach().clone()
    optimizer = torch.optim.AdamW(theirs.parameters())
    ours(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.equal(ours.weight, before)


@said(
    "08", "Every `DataLoader` draws a number when a pass through it begins, shuffled or not."
)
def a_pass_through_a_loader_draws() -> None:
    data = TensorDataset(torch.ones(4))
    for shuffle in (False, True):
        loader = DataLoader(data, shuffle=shuffle)
        before = torch.get_rng_state()
        iter(loader)
        assert not torch.equal(torch.get_rng_state(), before)


@said(
    "08",
    "`load_state_dict` takes each average to where its parameter is.",
    "a checkpoint with two groups does not load into an optimizer with one.",
)
def where_a_loaded_state_lies() -> None:
    """The device `meta` has no numbers, and every machine has it."""
    here, there = nn.Linear(2, 1), nn.Linear(2, 1, device="meta", dtype=torch.float64)
    optimizer = torch.optim.Adam(here.parameters())
    here(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    other = torch.optim.Adam(there.parameters())
    other.load_state_dict(optimizer.state_dict())
    average = other.state[there.weight]["exp_avg"]
    assert (average.device.type, average.dtype) == ("meta", torch.float64)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    with pytest.raises(ValueError, match="different number of parameter groups"):
        other.load_state_dict(optimizer.state_dict())


@said(
    "08",
    "With the file came `initial_lr`, where the first scheduler began, and a new `LambdaLR` begins "
    "there again.",
    "A new group, by `optimizer.add_param_group`, begins with the learning rate of the first step, "
    "whatever the schedule says.",
)
def where_a_new_scheduler_and_a_new_group_begin() -> None:
    def falling(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)

    optimizer = torch.optim.SGD([p := nn.Parameter(torch.ones(1))], lr=0.4)
    scheduler = falling(optimizer)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.2
    again = torch.optim.SGD([p], lr=3.0)
    again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["lr"] == 0.2
    assert again.param_groups[0]["initial_lr"] == 0.4
    falling(again)
    assert again.param_groups[0]["lr"] == 0.4
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.4]


@pytest.mark.parametrize("run", CHECKED, ids=lambda run: run.__name__)
def test_it_is_so(run: Callable[[], None]) -> None:
    for chapter, sentence in CHECKED[run]:
        assert sentence in prose(chapter), "rewritten: is it still so?"
    run()
