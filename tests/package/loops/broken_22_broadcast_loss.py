"""Its author believed that a column and a row of N numbers are the same thing to a loss."""

import warnings

import torch
from torch import nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    x = torch.randn(32, 3)
    y = x @ torch.tensor([1.0, -2.0, 0.5])  # (32,)
    model = nn.Linear(3, 1)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says so, and nobody reads it
        with trace(model, optimizer):
            for _epoch in range(6):
                optimizer.zero_grad()
                loss = criterion(model(x), y)  # <- broadcast-loss
                loss.backward()
                optimizer.step()


def repaired(trace: Tracing) -> None:
    x = torch.randn(32, 3)
    y = x @ torch.tensor([1.0, -2.0, 0.5])  # (32,)
    model = nn.Linear(3, 1)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, optimizer):
        for _epoch in range(6):
            optimizer.zero_grad()
            loss = criterion(model(x).squeeze(1), y)
            loss.backward()
            optimizer.step()


def broken_huber(trace: Tracing) -> None:
    """The other way round: the target is the column."""
    batches = [(torch.randn(8, 4), torch.randn(8, 1)) for _ in range(5)]
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with trace(net, opt):
            for x, y in batches:
                pred = net(x).squeeze()
                loss = nn.functional.smooth_l1_loss(pred, y)  # <- broadcast-loss
                opt.zero_grad()
                loss.backward()
                opt.step()


def repaired_huber(trace: Tracing) -> None:
    batches = [(torch.randn(8, 4), torch.randn(8, 1)) for _ in range(5)]
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, opt):
        for x, y in batches:
            pred = net(x)
            loss = nn.functional.smooth_l1_loss(pred, y)
            opt.zero_grad()
            loss.backward()
            opt.step()


def broken_by_hand(trace: Tracing) -> None:
    """Written out, it broadcasts just the same, and torch has nothing to warn about."""
    t = torch.linspace(-1, 1, 20)
    target = 3 * t + 0.5
    net = nn.Linear(1, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.2)
    with trace(net, opt):
        for _ in range(6):
            opt.zero_grad()
            loss = ((net(t.unsqueeze(1)) - target) ** 2).mean()  # <- broadcast-loss
            loss.backward()
            opt.step()


def repaired_by_hand(trace: Tracing) -> None:
    t = torch.linspace(-1, 1, 20)
    target = 3 * t + 0.5
    net = nn.Linear(1, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.2)
    with trace(net, opt):
        for _ in range(6):
            opt.zero_grad()
            loss = ((net(t.unsqueeze(1)).squeeze(1) - target) ** 2).mean()
            loss.backward()
            opt.step()
