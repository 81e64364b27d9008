"""Its author moved the step into a function, and left one behind."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            print(loss.item())
            optimizer.step()  # <- steps-twice


def repaired(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            print(loss.item())


def broken_scaled(trace: Tracing) -> None:
    """A GradScaler steps, and so does the line of before."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    with trace(net, optimizer, scaler):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(net(x), y)).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.step()  # <- steps-twice


def repaired_scaled(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    with trace(net, optimizer, scaler):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(net(x), y)).backward()
            scaler.step(optimizer)
            scaler.update()


def broken_before_batch_norm(trace: Tracing) -> None:
    """The mean takes the bias out again: its gradient is 0, but for rounding, and it stays."""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            optimizer.step()  # <- steps-twice


def repaired_before_batch_norm(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def partly_frozen() -> tuple[nn.Module, torch.optim.Optimizer]:
    """The first layer has no gradient, and the second one's learning rate is 0."""
    net = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 4), nn.Linear(4, 3))
    optimizer = torch.optim.SGD([*net[0].parameters(), *net[2].parameters()], lr=0.1)
    optimizer.add_param_group({"params": net[1].parameters(), "lr": 0.0})
    return net, optimizer


def broken_partly_frozen(trace: Tracing) -> None:
    net, optimizer = partly_frozen()
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            optimizer.step()  # <- steps-twice


def repaired_partly_frozen(trace: Tracing) -> None:
    net, optimizer = partly_frozen()
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
