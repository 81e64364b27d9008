"""What chapters say of torch without a cell that shows it: each such sentence, and a run of it.

A sentence is looked up in its chapter, so that one that is rewritten needs a look here. Versions
of long ago are those of the release notes that the chapter cites; everything else runs.
"""

from __future__ import annotations

import gc
import inspect
import re
from collections import deque
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
import torch
from torch import nn
from torch.optim.optimizer import _default_to_fused_or_foreach
from torch.utils._foreach_utils import _get_foreach_kernels_supported_devices

import companion
from tests import ROOT
from tests.chapters.claims import Claims, Run

CLAIMS = Claims()
said = CLAIMS.said


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
    "13",
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


@said("12", "On a GPU, `torch.cuda.memory_allocated()` tells what is in use, and")
def what_is_in_use() -> None:
    text = re.sub(r"\s+", " ", torch.cuda.memory_allocated.__doc__ or "")
    assert "Return the current GPU memory occupied by tensors in bytes" in text
    most = re.sub(r"\s+", " ", torch.cuda.max_memory_allocated.__doc__ or "")
    assert "Return the maximum GPU memory occupied by tensors in bytes" in most


@said("12", "The diagnosis says nothing of any of them")
def what_is_kept_without_a_graph() -> None:
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    kept: list[Any] = []
    with companion.trace(net, optimizer) as routine:
        for inputs in torch.randn(4, 16, 4):
            outputs = net(inputs)
            loss = outputs.square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            kept.append(loss.item())
            kept.append(loss.detach())
            kept.append(outputs.detach())
            kept.append(outputs.detach()[0])
            kept.append(outputs.detach()[0].clone())
    assert routine.diagnose() == []


@said("12", "Some of what a graph saves never was an object of Python's, such as the inside of an")
def what_only_a_graph_holds() -> None:
    def alive() -> int:
        gc.collect()
        held = [one.untyped_storage() for one in gc.get_objects() if type(one) is torch.Tensor]
        return sum({one.data_ptr(): one.nbytes() for one in held}.values())

    net, inputs = nn.LSTM(4, 8), torch.randn(50, 3, 4)
    before = alive()
    total = net(inputs)[0].sum()
    assert total.requires_grad
    assert alive() - before < 10_000
    sizes: dict[int, int] = {}

    def note(one: torch.Tensor) -> torch.Tensor:
        sizes[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
        return one

    with torch.autograd.graph.saved_tensors_hooks(note, lambda one: one):
        net(inputs)
    assert sum(sizes.values()) > 30_000


@said("12", "let `holders()` tell under which names one is held")
def who_holds_a_tensor() -> None:
    nb = nbformat.read(ROOT / "book/12_gradients_that_go_wrong.ipynb", as_version=4)
    first = next(cell.source for cell in nb.cells if "import gc" in cell.source)
    (folded,) = (cell.source for cell in nb.cells if "def holders(" in cell.source)
    names: dict[str, Any] = {}
    exec(first, names)
    exec(folded.partition("def growth(")[0], names)
    holders = names["holders"]

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_a_layer = [torch.ones(1)]

    class Plain:
        def __init__(self) -> None:
            self.in_an_object = deque([(0, torch.ones(2))])

    def keeper() -> Callable[[], list[torch.Tensor]]:
        hidden = [torch.ones(3)]
        return lambda: hidden

    layer, plain, function = Layer(), Plain(), keeper()
    local = {0: {1: torch.ones(4)}}
    assert "in_a_layer" in holders(layer.in_a_layer[0])
    assert "in_an_object" in holders(plain.in_an_object[0][1])
    assert any("keeper" in name for name in holders(function()[0]))
    assert "local" in holders(local[0][1])


@CLAIMS.each()
def test_it_is_so(run: Run) -> None:
    CLAIMS.hold(run)
