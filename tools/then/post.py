"""The lines of a post of 2020, and what each gives under the PyTorch that is here.

The same file is run by Python 3.7 with PyTorch 1.5.1 (`make then`) and, as a cell of
the page "Then and now", by newer ones. It needs PyTorch and nothing else.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F


class Net(nn.Module):
    """The network of the course: five layers, made in the same order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Any:
        """Images in, scores out."""
        x = F.max_pool2d(F.relu(self.conv1(images)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(F.relu(self.fc2(x)))


def batch() -> tuple[Tensor, Tensor]:
    """Four images of noise and their labels, the same on every processor."""
    torch.manual_seed(1)
    return torch.rand(4, 3, 32, 32) * 2 - 1, torch.randint(10, (4,))


def total(gradient: Tensor | None) -> str:
    """The sum of a gradient, or None."""
    return "None" if gradient is None else f"{gradient.sum().item():.2f}"


def options(function: Any) -> str:
    """What can be handed to it, without the types."""
    given = inspect.signature(function).parameters.values()
    return f"({', '.join(str(one.replace(annotation=one.empty)) for one in given)})"


class Update(NamedTuple):
    """The line that moves a parameter, its function, and the loops around it."""

    line: str
    function: str
    loops: int


def update() -> Update:
    """Where plain SGD moves a parameter."""
    module = inspect.getsource(inspect.getmodule(optim.SGD))  # type: ignore[arg-type]
    lines = module.splitlines()
    found = [n for n, line in enumerate(lines, 1) if ".add_(" in line and "lr" in line]
    number, kinds = found[0], (ast.FunctionDef, ast.For)

    def last(node: ast.AST) -> int:
        return max(getattr(inner, "lineno", 0) for inner in ast.walk(node))

    around = [
        node
        for node in ast.walk(ast.parse(module))
        if isinstance(node, kinds) and node.lineno < number <= last(node)
    ]
    (function,) = [node.name for node in around if isinstance(node, ast.FunctionDef)]
    return Update(lines[number - 1].strip(), function, len(around) - 1)


def bits(tensor: Tensor) -> str:
    """A digest of its numbers: the same only if all of them are, to the last bit."""
    numbers = [number.hex() for number in tensor.detach().view(-1).tolist()]
    return hashlib.sha256(" ".join(numbers).encode()).hexdigest()[:12]


def moved(gradients: int, **chosen: Any) -> Tensor:
    """A thousand random numbers after so many steps of SGD along random gradients.

    The options are powers of 2: a product with one is exact, on every processor.
    """
    torch.manual_seed(0)
    weight = nn.Parameter(torch.rand(1000))
    optimizer = optim.SGD([weight], **chosen)
    for _ in range(gradients):
        weight.grad = torch.rand(1000)
        optimizer.step()
    return weight


def untouched() -> bool:
    """Whether a step leaves a parameter that has no gradient as it is."""
    weight = nn.Parameter(torch.ones(1))
    optim.SGD([weight], lr=0.5, weight_decay=0.5).step()
    return bool(weight == 1)


# Each line is evaluated; its text is its name.
LINES = {
    "tensors": """
        torch.tensor([1, 2, 3])
        torch.tensor([1, 2, 3]).grad
        Net().fc1.weight.grad
        type(weight).__name__
        type(weight.grad).__name__
        weight.grad.dtype
        weight.grad.layout
        torch.get_default_dtype()
        """,
    "linear": """
        options(nn.Linear)
        "torch.Tensor(" in linear
        "torch.empty(" in linear
        "grad" in linear
        torch.Tensor(3).shape
        torch.empty(3).shape
        torch.Tensor([3]).shape
        torch.Tensor(3).dtype
        torch.empty(3).dtype
        torch.Tensor(3, dtype=float)
        torch.empty(3, dtype=float).dtype
        nn.Linear(3, 1, dtype=float).weight.dtype
        """,
    "zero_grad": """
        options(optimizer.zero_grad)
        optimizer.zero_grad() or net.fc3.bias.grad
        """,
    "step": """
        update().line
        update().function
        update().loops
        options(optim.SGD)
        options(optim.SGD.step)
        "loss = closure()" in step
        "torch.enable_grad()" in step
        "@torch.no_grad()" in step
        "if p.grad is None:" in step
        untouched()
        len(step.splitlines())
        """,
    "bits": """
        bits(torch.rand(1000))
        bits(moved(1, lr=0.5))
        bits(moved(5, lr=0.5))
        bits(moved(5, lr=0.5, momentum=0.5))
        """,
}
STEP = """\
optimizer.zero_grad()
outputs = net(inputs)
loss = criterion(outputs, labels)
loss.backward()
optimizer.step()"""


def run() -> dict[str, dict[str, str]]:
    """What every line gives, as text: by group, and by the line."""
    torch.manual_seed(0)
    net = Net()
    inputs, labels = batch()
    weight = net.fc1.weight
    names = {
        **globals(),
        "net": net,
        "weight": weight,
        "inputs": inputs,
        "labels": labels,
        "criterion": nn.CrossEntropyLoss(),
        "optimizer": optim.Adam(net.parameters(), lr=0.001),
        "linear": inspect.getsource(nn.Linear.__init__),
        "step": inspect.getsource(optim.SGD.step),
    }
    exec(STEP, names)
    sums = {"(step 1 is over)": total(weight.grad)}
    for line in STEP.splitlines():
        exec(line, names)
        sums[line] = total(weight.grad)

    said = {"sums": sums}
    for group, lines in LINES.items():
        torch.manual_seed(0)
        stripped = [line.strip() for line in lines.strip().splitlines()]
        said[group] = {line: _said(line, names) for line in stripped}
    return said


def _said(line: str, names: dict[str, Any]) -> str:
    try:
        return str(eval(line, names))
    except TypeError as error:
        return type(error).__name__


def train() -> tuple[list[float], list[Tensor]]:
    """Five steps of SGD: the losses; all parameters at first, after 1 step, after 5."""
    torch.manual_seed(0)
    net, criterion = Net(), nn.CrossEntropyLoss()
    inputs, labels = batch()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    losses, parameters = [], [_all(net)]
    for _ in range(5):
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        parameters.append(_all(net))
    return losses, [parameters[i] for i in (0, 1, 5)]


def _all(net: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().view(-1) for parameter in net.parameters()])
