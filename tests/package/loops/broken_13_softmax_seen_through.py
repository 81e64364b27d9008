"""Between the first softmax and the criterion's the scores are turned, cut and put together."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing


class Segments(nn.Module):
    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 3, 3, padding=1), last

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.last(self.conv(x))
        return scores


def _segments(trace: Tracing, last: nn.Module) -> None:
    net = Segments(last)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(2, 1, 4, 4), torch.randint(3, (2, 4, 4))
            out = net(x).permute(0, 2, 3, 1).reshape(-1, 3)
            loss = criterion(out, y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_turned(trace: Tracing) -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(2, 1, 4, 4), torch.randint(3, (2, 4, 4))
            out = net(x).permute(0, 2, 3, 1).reshape(-1, 3)
            loss = criterion(out, y.flatten())
            optimizer.zero_grad()
            loss.backward()  # <- softmax-twice
            optimizer.step()


def repaired_turned(trace: Tracing) -> None:
    _segments(trace, nn.Identity())


def _steps(trace: Tracing, last: nn.Module) -> None:
    """A decoder's outputs, collected step by step."""
    cell, head = nn.GRUCell(2, 5), nn.Sequential(nn.Linear(5, 4), last)
    net = nn.ModuleList([cell, head])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(3):
            hidden, collected, y = torch.zeros(3, 5), [], torch.randint(4, (3, 2))
            for _ in range(2):
                hidden = cell(torch.randn(3, 2), hidden)
                collected.append(head(hidden))
            outputs = torch.stack(collected, dim=2)
            loss = F.cross_entropy(outputs, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_collected(trace: Tracing) -> None:
    cell, head = nn.GRUCell(2, 5), nn.Sequential(nn.Linear(5, 4), nn.Softmax(dim=-1))
    net = nn.ModuleList([cell, head])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(3):
            hidden, y = torch.zeros(3, 5), torch.randint(4, (3, 2))
            outputs = torch.zeros(2, 3, 4)
            for t in range(2):
                hidden = cell(torch.randn(3, 2), hidden)
                outputs[t] = head(hidden)
            loss = F.cross_entropy(outputs[0], y[:, 0]) + F.cross_entropy(outputs[1], y[:, 1])
            optimizer.zero_grad()
            loss.backward()  # <- softmax-twice
            optimizer.step()


def repaired_collected(trace: Tracing) -> None:
    _steps(trace, nn.Identity())


def broken_sigmoid_before_softmax(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(3, (8,))
            optimizer.zero_grad()
            loss = 0.5 * F.cross_entropy(net(x), y, label_smoothing=0.1)
            loss.backward()  # <- softmax-twice
            optimizer.step()


def repaired_sigmoid_before_softmax(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(3, (8,))
            optimizer.zero_grad()
            loss = 0.5 * F.cross_entropy(net(x), y, label_smoothing=0.1)
            loss.backward()
            optimizer.step()


def broken_sigmoid_again(trace: Tracing) -> None:
    """The network ends with one, and the loop takes another."""
    net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.BCELoss()
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(2, (8,)).float()
            optimizer.zero_grad()
            loss = criterion(torch.sigmoid(net(x)).squeeze(1), y)
            loss.backward()  # <- softmax-twice
            optimizer.step()


def repaired_sigmoid_again(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.BCELoss()
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(2, (8,)).float()
            optimizer.zero_grad()
            loss = criterion(net(x).squeeze(1), y)
            loss.backward()
            optimizer.step()


def broken_softmax_again(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(3, (8,))
            optimizer.zero_grad()
            loss = F.nll_loss(torch.log(F.softmax(net(x), dim=1)), y)
            loss.backward()  # <- softmax-twice
            optimizer.step()


def repaired_softmax_again(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(3, (8,))
            optimizer.zero_grad()
            loss = F.nll_loss(torch.log(net(x)), y)
            loss.backward()
            optimizer.step()


def broken_many_labels(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.MultiLabelSoftMarginLoss()
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(2, (8, 3)).float()
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()  # <- softmax-twice
            optimizer.step()


def repaired_many_labels(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.MultiLabelSoftMarginLoss()
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(2, (8, 3)).float()
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
