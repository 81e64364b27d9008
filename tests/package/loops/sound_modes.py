"""Nothing to blame: modes and evaluation."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_validation(trace: Tracing) -> None:
    train, valid = classes(3), classes(2)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    best = math.inf
    with trace(net, optimizer):
        for _epoch in range(3):
            net.train()
            for x, y in train:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
            net.eval()
            val_loss = 0.0
            with torch.no_grad():
                for x, y in valid:
                    val_loss += F.cross_entropy(net(x), y).item()
            best = min(best, val_loss)


def sound_eval_without_such_layers(trace: Tracing) -> None:
    """No layer of this net knows the two modes, so the toggling is left out."""
    train, valid = classes(3), classes(2)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in train:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                print(sum(F.cross_entropy(net(x), y).item() for x, y in valid))
