"""Something is NaN or infinite: what, and where it began, differs from loop to loop."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import regression


def broken(trace: Tracing) -> None:
    """Its author believed that a larger learning rate only learns faster."""
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


def broken_ignored(trace: Tracing) -> None:
    """A batch whose labels are all left out: a mean over nothing."""
    labels = torch.randint(3, (4, 8))
    labels[2] = -100
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer):
        for y in labels:
            loss = criterion(net(torch.ones(8, 4)), y)  # <- not-finite
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_ignored(trace: Tracing) -> None:
    labels = torch.randint(3, (4, 8))
    labels[2] = -100
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer):
        for y in labels:
            if (y == -100).all():
                continue
            loss = criterion(net(torch.ones(8, 4)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_half(trace: Tracing) -> None:
    """1e-8 is 0 in float16."""
    net = nn.Linear(4, 3).half()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x = torch.randn(8, 4).half()
    x[:, 3] = 0
    with trace(net, optimizer):
        loss = net(x).float().square().mean()
        loss.backward()
        optimizer.step()  # <- not-finite


def repaired_half(trace: Tracing) -> None:
    net = nn.Linear(4, 3).half()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-4)
    x = torch.randn(8, 4).half()
    x[:, 3] = 0
    with trace(net, optimizer):
        loss = net(x).float().square().mean()
        loss.backward()
        optimizer.step()


def broken_mask(trace: Tracing) -> None:
    """The loss leaves the unknown targets out, and their gradients are 0 times NaN."""
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression():
            y[::3] = float("nan")
            known = ~y.isnan()
            optimizer.zero_grad()
            losses = F.mse_loss(net(x), y, reduction="none")
            loss = losses[known].mean()  # <- not-finite
            loss.backward()
            optimizer.step()


def repaired_mask(trace: Tracing) -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression():
            y[::3] = float("nan")
            known = ~y.isnan()
            optimizer.zero_grad()
            losses = F.mse_loss(net(x)[known], y[known], reduction="none")
            loss = losses.mean()
            loss.backward()
            optimizer.step()


def broken_root(trace: Tracing) -> None:
    """A distance of 0: the loss is finite, the slope of its root is not."""
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in regression():
            z = net(x)
            squares = (z - z.detach()).square().sum(dim=1)
            distances = squares.sqrt()  # <- not-finite
            loss = (distances - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_root(trace: Tracing) -> None:
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in regression():
            z = net(x)
            squares = (z - z.detach()).square().sum(dim=1)
            distances = (squares + 1e-8).sqrt()
            loss = (distances - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_log(trace: Tracing) -> None:
    """A probability that is 0."""
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in regression():
            p = net(x)
            logs = p.log()  # <- not-finite
            loss = -(logs * p).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_log(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in regression():
            p = net(x)
            logs = p.clamp(min=1e-8).log()
            loss = -(logs * p).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_count(trace: Tracing) -> None:
    """A batch without any positive example."""
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression():
            positive = (y > 100).float()
            count = positive.sum()
            loss = ((net(x) - y).abs() * positive).sum() / count  # <- not-finite
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_count(trace: Tracing) -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression():
            positive = (y > 100).float()
            count = positive.sum()
            loss = ((net(x) - y).abs() * positive).sum() / count.clamp(min=1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_rate(trace: Tracing) -> None:
    """A schedule that divides by 0."""
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for step, (x, y) in enumerate(regression()):
            loss = F.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] = float(0.1 / torch.tensor(1.0 - step))  # <- not-finite


def repaired_rate(trace: Tracing) -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for step, (x, y) in enumerate(regression()):
            loss = F.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] = float(0.1 / torch.tensor(1.0 + step))


def broken_data(trace: Tracing) -> None:
    """It stood in the data before the watching began."""
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    x[3, 1] = float("nan")
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)  # <- not-finite
            loss.backward()
            optimizer.step()


def repaired_data(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    x[3, 1] = float("nan")
    x = x.nan_to_num(0.0)
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
