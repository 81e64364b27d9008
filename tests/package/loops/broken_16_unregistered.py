"""Its author believed that a layer belongs to the network once it is an attribute's content."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


class DeepNet(nn.Module):
    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.hidden: Any = [nn.Linear(8, 8) for _ in range(depth)]
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        for layer in self.hidden:
            x = torch.relu(layer(x))
        out: Tensor = self.last(x)
        return out


class DeepNetRegistered(DeepNet):
    def __init__(self, depth: int = 2) -> None:
        super().__init__(depth)
        self.hidden = nn.ModuleList(self.hidden)


def broken(trace: Tracing) -> None:
    x, y = torch.randn(24, 4), torch.randint(0, 3, (24,))
    net = DeepNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _epoch in range(4):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()  # <- unregistered


def repaired(trace: Tracing) -> None:
    x, y = torch.randn(24, 4), torch.randint(0, 3, (24,))
    net = DeepNetRegistered()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _epoch in range(4):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


class MultiTask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(5, 6)
        self.heads: Any = {"price": nn.Linear(6, 1), "size": nn.Linear(6, 1)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = torch.tanh(self.trunk(x))
        return {name: head(features) for name, head in self.heads.items()}


class MultiTaskRegistered(MultiTask):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(self.heads)


def broken_dict(trace: Tracing) -> None:
    x, targets = torch.randn(12, 5), {"price": torch.randn(12, 1), "size": torch.randn(12, 1)}
    model = MultiTask()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, opt):
        for _ in range(4):
            outputs = model(x)
            losses = [nn.functional.mse_loss(outputs[k], targets[k]) for k in targets]
            loss = torch.stack(losses).sum()
            opt.zero_grad()
            loss.backward()
            opt.step()  # <- unregistered


def repaired_dict(trace: Tracing) -> None:
    x, targets = torch.randn(12, 5), {"price": torch.randn(12, 1), "size": torch.randn(12, 1)}
    model = MultiTaskRegistered()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, opt):
        for _ in range(4):
            outputs = model(x)
            losses = [nn.functional.mse_loss(outputs[k], targets[k]) for k in targets]
            loss = torch.stack(losses).sum()
            opt.zero_grad()
            loss.backward()
            opt.step()
