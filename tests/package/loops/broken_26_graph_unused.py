"""Its author believed that `eval()` switches gradients off."""

import torch
import torch.nn.functional as F

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    net, batches = mlp(), classes(2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            net.train()
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            wrong = 0
            for x, y in batches:
                logits = net(x)  # <- graph-unused
                wrong += int((logits.argmax(1) != y).sum())


def repaired(trace: Tracing) -> None:
    net, batches = mlp(), classes(2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            net.train()
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            wrong = 0
            for x, y in batches:
                with torch.no_grad():
                    logits = net(x)
                wrong += int((logits.argmax(1) != y).sum())
