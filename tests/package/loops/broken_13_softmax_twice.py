"""Its author believed that the loss wants probabilities."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    x = torch.randn(60, 4)
    y = x.argmax(dim=1)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(dim=1))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with trace(model, optimizer):
        for _epoch in range(6):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()  # <- softmax-twice
            optimizer.step()


def repaired(trace: Tracing) -> None:
    x = torch.randn(60, 4)
    y = x.argmax(dim=1)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 4))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with trace(model, optimizer):
        for _epoch in range(6):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()


class Logistic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(x))


def broken_sigmoid(trace: Tracing) -> None:
    x = torch.randn(40, 3)
    y = (x[:, :1] > 0).float()
    net = Logistic()
    loss_fn = nn.BCEWithLogitsLoss()
    opt = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, opt):
        for _ in range(5):
            opt.zero_grad()
            loss = loss_fn(net(x), y)
            loss.backward()  # <- softmax-twice
            opt.step()


def repaired_sigmoid(trace: Tracing) -> None:
    x = torch.randn(40, 3)
    y = (x[:, :1] > 0).float()
    net = Logistic()
    loss_fn = nn.BCELoss()
    opt = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, opt):
        for _ in range(5):
            opt.zero_grad()
            loss = loss_fn(net(x), y)
            loss.backward()
            opt.step()


def broken_in_the_loop(trace: Tracing) -> None:
    batches = [(torch.randn(16, 5), torch.randint(0, 3, (16,))) for _ in range(5)]
    net = nn.Linear(5, 3)
    opt = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, opt):
        for inputs, labels in batches:
            probabilities = F.softmax(net(inputs), dim=-1)
            loss = F.cross_entropy(probabilities, labels)
            opt.zero_grad()
            loss.backward()  # <- softmax-twice
            opt.step()


def repaired_in_the_loop(trace: Tracing) -> None:
    batches = [(torch.randn(16, 5), torch.randint(0, 3, (16,))) for _ in range(5)]
    net = nn.Linear(5, 3)
    opt = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, opt):
        for inputs, labels in batches:
            logits = net(inputs)
            loss = F.cross_entropy(logits, labels)
            opt.zero_grad()
            loss.backward()
            opt.step()
