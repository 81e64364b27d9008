"""Its author made the layer where he needed it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes


class Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        mix = nn.Linear(8, 8)
        out: Tensor = mix(x)
        return out


class Mixed(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.embed, self.pool, self.head = nn.Linear(4, 8), pool, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.pool(torch.relu(self.embed(x))))
        return out


def broken(trace: Tracing) -> None:
    net = Mixed(Pool())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()  # <- made-in-forward


def repaired(trace: Tracing) -> None:
    net = Mixed(nn.Linear(8, 8))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


class Weighted(nn.Module):
    """A parameter of its own, each time."""

    def forward(self, x: Tensor) -> Tensor:
        return x * nn.Parameter(torch.randn(8))


def broken_parameter(trace: Tracing) -> None:
    net = Mixed(Weighted())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()  # <- made-in-forward


class WeightedOnce(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w


def repaired_parameter(trace: Tracing) -> None:
    net = Mixed(WeightedOnce())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
