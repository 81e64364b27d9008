"""Its author believed that a sum of losses is a number."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


def data() -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(8, 5), torch.randn(8, 1)) for _ in range(4)]


def broken(trace: Tracing) -> object:
    loader = data()
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    criterion = nn.MSELoss()
    total = 0
    with trace(model, optimizer):
        for _epoch in range(2):
            total = 0
            for x, y in loader:
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss  # <- graph-kept
            print(f"loss {total / len(loader):.3f}")
    return total


def repaired(trace: Tracing) -> object:
    loader = data()
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    criterion = nn.MSELoss()
    total = 0
    with trace(model, optimizer):
        for _epoch in range(2):
            total = 0
            for x, y in loader:
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item()
            print(f"loss {total / len(loader):.3f}")
    return total


def broken_history(trace: Tracing) -> object:
    loader = data()
    net = nn.Linear(5, 1)
    opt = torch.optim.Adam(net.parameters())
    history = []
    with trace(net, opt):
        for _epoch in range(2):
            for x, y in loader:
                opt.zero_grad()
                loss = nn.functional.l1_loss(net(x), y)
                loss.backward()
                opt.step()
                history.append(loss)  # <- graph-kept
    return history[-1]


def repaired_history(trace: Tracing) -> object:
    loader = data()
    net = nn.Linear(5, 1)
    opt = torch.optim.Adam(net.parameters())
    history = []
    with trace(net, opt):
        for _epoch in range(2):
            for x, y in loader:
                opt.zero_grad()
                loss = nn.functional.l1_loss(net(x), y)
                loss.backward()
                opt.step()
                history.append(loss.item())
    return history[-1]


def broken_running_mean(trace: Tracing) -> object:
    loader = data()
    net = nn.Linear(5, 1)
    optim = torch.optim.SGD(net.parameters(), lr=0.01)
    smooth = torch.zeros(())
    with trace(net, optim):
        for _epoch in range(2):
            for x, y in loader:
                loss = nn.functional.mse_loss(net(x), y)
                optim.zero_grad()
                loss.backward()
                optim.step()
                smooth = 0.9 * smooth + 0.1 * loss  # <- graph-kept
    return smooth


def repaired_running_mean(trace: Tracing) -> object:
    loader = data()
    net = nn.Linear(5, 1)
    optim = torch.optim.SGD(net.parameters(), lr=0.01)
    smooth = torch.zeros(())
    with trace(net, optim):
        for _epoch in range(2):
            for x, y in loader:
                loss = nn.functional.mse_loss(net(x), y)
                optim.zero_grad()
                loss.backward()
                optim.step()
                smooth = 0.9 * smooth + 0.1 * loss.detach()
    return smooth
