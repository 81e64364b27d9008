"""Its author believed that `w = w - lr * w.grad` changes the network's w."""

import torch
from torch import nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    x, y = torch.randn(30, 3), torch.randn(30, 1)
    net = nn.Linear(3, 1)
    lr = 0.1
    with trace(net):
        for _epoch in range(5):
            loss = ((net(x) - y) ** 2).mean()
            net.zero_grad()
            loss.backward()
            with torch.no_grad():
                for w in net.parameters():
                    if w.grad is not None:
                        w = w - lr * w.grad  # type: ignore[assignment]  # <- never-moves


def repaired(trace: Tracing) -> None:
    x, y = torch.randn(30, 3), torch.randn(30, 1)
    net = nn.Linear(3, 1)
    lr = 0.1
    with trace(net):
        for _epoch in range(5):
            loss = ((net(x) - y) ** 2).mean()
            net.zero_grad()
            loss.backward()
            with torch.no_grad():
                for w in net.parameters():
                    if w.grad is not None:
                        w -= lr * w.grad  # type: ignore[misc]


def broken_state_dict(trace: Tracing) -> None:
    """The new values go into a dict, and nobody loads it."""
    x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    with trace(model):
        for _ in range(4):
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            new = model.state_dict()
            for name, p in model.named_parameters():
                assert p.grad is not None
                new[name] = new[name] - 0.1 * p.grad  # <- never-moves


def repaired_state_dict(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    with trace(model):
        for _ in range(4):
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            new = model.state_dict()
            for name, p in model.named_parameters():
                assert p.grad is not None
                new[name] = new[name] - 0.1 * p.grad
            model.load_state_dict(new)


def broken_data(trace: Tracing) -> None:
    x, y = torch.randn(16, 2), torch.randn(16, 1)
    net = nn.Linear(2, 1, bias=False)
    with trace(net):
        for _ in range(4):
            weight = net.weight
            loss = nn.functional.mse_loss(x @ weight.t(), y)
            loss.backward()
            assert weight.grad is not None
            weight = weight.data - 0.1 * weight.grad.data  # <- never-moves
            net.zero_grad()


def repaired_data(trace: Tracing) -> None:
    x, y = torch.randn(16, 2), torch.randn(16, 1)
    net = nn.Linear(2, 1, bias=False)
    with trace(net):
        for _ in range(4):
            weight = net.weight
            loss = nn.functional.mse_loss(x @ weight.t(), y)
            loss.backward()
            assert weight.grad is not None
            weight.data = weight.data - 0.1 * weight.grad.data
            net.zero_grad()
