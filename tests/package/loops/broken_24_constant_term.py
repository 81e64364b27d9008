"""One term of the loss has no graph: its weight changes the number, and not the training."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    """How many are wrong cannot be descended."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            out = net(x)
            fit = F.cross_entropy(out, y)
            wrong = (out.argmax(dim=1) != y).float().mean()  # <- constant-term
            loss = fit + 0.8 * wrong
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            out = net(x)
            fit = F.cross_entropy(out, y)
            wrong = 1 - out.softmax(dim=1).gather(1, y[:, None]).mean()
            loss = fit + 0.8 * wrong
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_decay(trace: Tracing) -> None:
    """Weight decay of values without graph."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            decay = sum(p.data.square().sum() for p in net.parameters())  # <- constant-term
            loss = F.cross_entropy(net(x), y)
            loss += 0.01 * decay
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_decay(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            decay = sum(p.square().sum() for p in net.parameters())
            loss = F.cross_entropy(net(x), y)
            loss += 0.01 * decay
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Weighing(nn.Module):
    """It gives its weights as well, for a regulariser."""

    def __init__(self, *, cuts: bool) -> None:
        super().__init__()
        self.points, self.weights = nn.Linear(4, 6), nn.Linear(4, 6)
        self.cuts = cuts

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        w = self.weights(x).softmax(dim=1)
        out = (w * self.points(x)).sum(dim=1)
        return {"out": out, "weight": w.detach() if self.cuts else w}


def entropy_of(p: Tensor) -> Tensor:
    return -(p * p.log()).sum(dim=1).mean()


def broken_inside(trace: Tracing) -> None:
    """Cut in the network's forward, whose lines are not watched."""
    net = Weighing(cuts=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            outputs = net(x)
            fit = F.mse_loss(outputs["out"], y.float())
            entropy = entropy_of(outputs["weight"])  # <- constant-term
            loss = fit + 0.1 * entropy
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_inside(trace: Tracing) -> None:
    net = Weighing(cuts=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            outputs = net(x)
            fit = F.mse_loss(outputs["out"], y.float())
            entropy = entropy_of(outputs["weight"])
            loss = fit + 0.1 * entropy
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_inline(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            out = net(x)
            loss = F.cross_entropy(out, y) + (out.argmax(1) != y).float().mean()  # <- constant-term
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_inline(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            out = net(x)
            loss = F.cross_entropy(out, y) + out.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
