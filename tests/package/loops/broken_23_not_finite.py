"""Its author believed that a larger learning rate only learns faster."""

import torch
from torch import nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=5.0)
    with trace(net, optimizer):
        for _step in range(12):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()  # <- not-finite


def repaired(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for _step in range(12):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
