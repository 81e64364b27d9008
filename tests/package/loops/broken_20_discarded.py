"""Its author believed that the five lines may stand in any order."""

import torch
from torch import nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    x, y = torch.randn(20, 4), torch.randn(20, 1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.MSELoss()
    with trace(model, optimizer):
        for _epoch in range(5):
            outputs = model(x)
            loss = criterion(outputs, y)
            loss.backward()
            optimizer.zero_grad()  # <- discarded
            optimizer.step()


def repaired(trace: Tracing) -> None:
    x, y = torch.randn(20, 4), torch.randn(20, 1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.MSELoss()
    with trace(model, optimizer):
        for _epoch in range(5):
            outputs = model(x)
            loss = criterion(outputs, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_step_first(trace: Tracing) -> None:
    """The step finds no gradient yet; the next `zero_grad` clears what it should have used."""
    loader = [(torch.randn(8, 4), torch.randint(0, 3, (8,))) for _ in range(5)]
    net = nn.Linear(4, 3)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for inputs, labels in loader:
            opt.zero_grad()  # <- discarded
            loss = nn.functional.cross_entropy(net(inputs), labels)
            opt.step()
            loss.backward()


def repaired_step_first(trace: Tracing) -> None:
    loader = [(torch.randn(8, 4), torch.randint(0, 3, (8,))) for _ in range(5)]
    net = nn.Linear(4, 3)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for inputs, labels in loader:
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(inputs), labels)
            loss.backward()
            opt.step()


def broken_zeros(trace: Tracing) -> None:
    """Zeros in place of None, and momentum: nothing to move with, ever."""
    x, y = torch.randn(20, 4), torch.randn(20, 1)
    net = nn.Linear(4, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    with trace(net, opt):
        for _ in range(4):
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            net.zero_grad(set_to_none=False)  # <- discarded
            opt.step()


def repaired_zeros(trace: Tracing) -> None:
    x, y = torch.randn(20, 4), torch.randn(20, 1)
    net = nn.Linear(4, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    with trace(net, opt):
        for _ in range(4):
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            opt.step()
            net.zero_grad(set_to_none=False)
