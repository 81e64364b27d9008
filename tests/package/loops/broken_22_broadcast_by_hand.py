"""A column and a row, in losses that are written out: torch has nothing to warn about."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import mlp, regression


def _rows() -> list[tuple[Tensor, Tensor]]:
    """Batches whose targets are rows, (N,)."""
    return [(x, y[:, 0]) for x, y in regression(3)]


def broken_returned(trace: Tracing) -> None:
    def loss_of(pred: Tensor, y: Tensor) -> Tensor:
        return ((pred - y) ** 2).mean()  # <- broadcast-loss

    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer, into=[loss_of]):
        for x, y in _rows():
            optimizer.zero_grad()
            loss_of(net(x), y).backward()
            optimizer.step()


def repaired_returned(trace: Tracing) -> None:
    def loss_of(pred: Tensor, y: Tensor) -> Tensor:
        return ((pred - y) ** 2).mean()

    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer, into=[loss_of]):
        for x, y in _rows():
            optimizer.zero_grad()
            loss_of(net(x).squeeze(1), y).backward()
            optimizer.step()


def broken_in_one(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            optimizer.zero_grad()
            torch.sqrt(torch.mean((y - net(x)) ** 2)).backward()  # <- broadcast-loss
            optimizer.step()


def repaired_in_one(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            optimizer.zero_grad()
            torch.sqrt(torch.mean((y - net(x).squeeze(1)) ** 2)).backward()
            optimizer.step()


def broken_unwatched(trace: Tracing) -> None:
    """Nobody watches the lines of the function that compares them."""

    def loss_of(pred: Tensor, y: Tensor) -> Tensor:
        return torch.mean((pred - y) * (pred - y))

    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            optimizer.zero_grad()
            loss_of(net(x), y).backward()  # <- broadcast-loss
            optimizer.step()


def repaired_unwatched(trace: Tracing) -> None:
    def loss_of(pred: Tensor, y: Tensor) -> Tensor:
        return torch.mean((pred - y) * (pred - y))

    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            optimizer.zero_grad()
            loss_of(net(x).squeeze(1), y).backward()
            optimizer.step()


def broken_in_two(trace: Tracing) -> None:
    """The difference has a variable of its own."""
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            error = net(x) - y  # <- broadcast-loss
            loss = error.abs().sum() / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_in_two(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            error = net(x).squeeze(1) - y
            loss = error.abs().sum() / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Own(nn.Module):
    """A criterion of somebody's own, whose lines nobody watches."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean()


def broken_in_a_module(trace: Tracing) -> None:
    net, criterion = mlp(1), Own()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            loss = criterion(net(x), y)  # <- broadcast-loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_in_a_module(trace: Tracing) -> None:
    net, criterion = mlp(1), Own()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in _rows():
            loss = criterion(net(x).squeeze(1), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_policy(trace: Tracing) -> None:
    """Log-probabilities of a Gaussian policy are a column, the returns a row."""
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, returns in _rows():
            policy = torch.distributions.Normal(net(x), 1.0)
            log_prob = policy.log_prob(policy.sample())
            loss = -(log_prob * returns).mean()  # <- broadcast-loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_policy(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, returns in _rows():
            policy = torch.distributions.Normal(net(x), 1.0)
            log_prob = policy.log_prob(policy.sample()).squeeze(1)
            loss = -(log_prob * returns).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_likelihood(trace: Tracing) -> None:
    net = mlp(2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = nn.GaussianNLLLoss()
    with trace(net, optimizer):
        for x, y in _rows():
            mean, log_var = net(x).split(1, dim=1)
            loss = criterion(mean, y, log_var.exp())  # <- broadcast-loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_likelihood(trace: Tracing) -> None:
    net = mlp(2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = nn.GaussianNLLLoss()
    with trace(net, optimizer):
        for x, y in _rows():
            mean, log_var = net(x).split(1, dim=1)
            loss = criterion(mean, y.unsqueeze(1), log_var.exp())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_maps(trace: Tracing) -> None:
    """A channel that the target has not: (N, 1, H, W) and (N, H, W)."""
    net = nn.Conv2d(1, 1, 3, padding=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = nn.L1Loss()
    with trace(net, optimizer):
        for _ in range(3):
            x, depth = torch.randn(4, 1, 5, 5), torch.rand(4, 5, 5)
            loss = criterion(net(x), depth)  # <- broadcast-loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_maps(trace: Tracing) -> None:
    net = nn.Conv2d(1, 1, 3, padding=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = nn.L1Loss()
    with trace(net, optimizer):
        for _ in range(3):
            x, depth = torch.randn(4, 1, 5, 5), torch.rand(4, 5, 5)
            loss = criterion(net(x).squeeze(1), depth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_row(trace: Tracing) -> None:
    """Of the same number of dimensions, and crossed."""
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = nn.MSELoss()
    with trace(net, optimizer):
        for x, y in _rows():
            loss = criterion(net(x), y.unsqueeze(0))  # <- broadcast-loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_row(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = nn.MSELoss()
    with trace(net, optimizer):
        for x, y in _rows():
            loss = criterion(net(x), y.unsqueeze(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
