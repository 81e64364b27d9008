"""A loop to play, and a name that must never run."""

from __future__ import annotations

import torch
from torch import nn

from companion import Net, Trace, trace

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def loop(steps: int = 1, *, clear: bool = True, network: nn.Module | None = None) -> Trace:
    torch.manual_seed(0)
    net = Net() if network is None else network
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    inputs, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    with trace(net, optimizer) as routine:
        for _ in range(steps):
            if clear:
                optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
    return routine
