"""Its author believed that the scheduler sets the rate for what follows, so it goes first."""

import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    batches = [(torch.randn(8, 6), torch.randint(0, 2, (8,))) for _ in range(3)]
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.5)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says so, and nobody reads it
        with trace(net, optimizer):
            for _epoch in range(3):
                scheduler.step()  # <- scheduler-first
                for x, y in batches:
                    optimizer.zero_grad()
                    loss = F.cross_entropy(net(x), y)
                    loss.backward()
                    optimizer.step()


def repaired(trace: Tracing) -> None:
    batches = [(torch.randn(8, 6), torch.randint(0, 2, (8,))) for _ in range(3)]
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.5)

    with trace(net, optimizer):
        for _epoch in range(3):
            for x, y in batches:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
            scheduler.step()


def broken_every_batch(trace: Tracing) -> None:
    x, y = torch.randn(20, 3), torch.randn(20, 1)
    net = nn.Linear(3, 1)
    opt = torch.optim.AdamW(net.parameters(), lr=0.05)
    sched = CosineAnnealingLR(opt, T_max=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with trace(net, opt):
            for _step in range(6):
                loss = F.mse_loss(net(x), y)
                opt.zero_grad()
                loss.backward()
                sched.step()  # <- scheduler-first
                opt.step()


def repaired_every_batch(trace: Tracing) -> None:
    x, y = torch.randn(20, 3), torch.randn(20, 1)
    net = nn.Linear(3, 1)
    opt = torch.optim.AdamW(net.parameters(), lr=0.05)
    sched = CosineAnnealingLR(opt, T_max=6)
    with trace(net, opt):
        for _step in range(6):
            loss = F.mse_loss(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
