"""A layer whose ReLU gives nothing but 0."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    net = mlp()
    [*net.parameters()][1].data.fill_(-100.0)  # the first layer's bias
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)  # <- dead-layer
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net = mlp()
    net[1] = nn.LeakyReLU()
    [*net.parameters()][1].data.fill_(-100.0)  # the first layer's bias
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def broken_zeros(trace: Tracing) -> None:
    """All weights 0, and a gradient of 0 is a gradient."""
    net = mlp()
    for p in [*net.parameters()][:2]:
        nn.init.zeros_(p)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()  # <- dead-layer
            optimizer.step()


def repaired_zeros(trace: Tracing) -> None:
    """Where the last layer is 0, only the first step's gradient is."""
    net = mlp()
    for p in [*net.parameters()][2:]:
        nn.init.zeros_(p)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
