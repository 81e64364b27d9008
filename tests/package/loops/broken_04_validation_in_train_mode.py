"""Its author believed that `no_grad()` is what `eval()` is, so that one of them will do."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.package.loops import Tracing


def loaders() -> tuple[DataLoader[tuple[torch.Tensor, ...]], DataLoader[tuple[torch.Tensor, ...]]]:
    x = torch.randn(40, 10) + 2
    y = (x[:, 0] > x[:, 1]).long()
    train, valid = TensorDataset(x[:24], y[:24]), TensorDataset(x[24:], y[24:])
    return DataLoader(train, batch_size=8), DataLoader(valid, batch_size=4)


def broken(trace: Tracing) -> None:
    train_loader, valid_loader = loaders()
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    with trace(model, optimizer):
        for epoch in range(2):
            for xb, yb in train_loader:
                loss = F.cross_entropy(model(xb), yb)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

            valid_loss = 0.0
            with torch.no_grad():
                for xb, yb in valid_loader:
                    prediction = model(xb)  # <- evaluation-in-train-mode
                    valid_loss += F.cross_entropy(prediction, yb).item()
            print(epoch, valid_loss / len(valid_loader))


def repaired(trace: Tracing) -> None:
    train_loader, valid_loader = loaders()
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    with trace(model, optimizer):
        for epoch in range(2):
            model.train()
            for xb, yb in train_loader:
                loss = F.cross_entropy(model(xb), yb)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

            valid_loss = 0.0
            model.eval()
            with torch.no_grad():
                for xb, yb in valid_loader:
                    prediction = model(xb)
                    valid_loss += F.cross_entropy(prediction, yb).item()
            print(epoch, valid_loss / len(valid_loader))


def broken_batchnorm(trace: Tracing) -> None:
    """The validation data move the running statistics, so the net learns from them too."""
    train_loader, valid_loader = loaders()
    net = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for _epoch in range(3):
            for xb, yb in train_loader:
                opt.zero_grad()
                F.cross_entropy(net(xb), yb).backward()
                opt.step()
            correct = 0
            for xb, yb in valid_loader:
                with torch.inference_mode():
                    correct += int((net(xb).argmax(1) == yb).sum())  # <- evaluation-in-train-mode


def broken_with_gradients(trace: Tracing) -> None:
    """Neither eval() nor no_grad(): each batch's graph is built and thrown away."""
    train_loader, valid_loader = loaders()
    net = nn.Sequential(nn.Linear(10, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)

    def validate() -> float:
        total = 0.0
        for xb, yb in valid_loader:
            scores = net(xb)  # <- evaluation-in-train-mode
            total += F.cross_entropy(scores, yb).item()
        return total

    with trace(net, opt, into=[validate]):
        for _epoch in range(2):
            for xb, yb in train_loader:
                opt.zero_grad()
                F.cross_entropy(net(xb), yb).backward()
                opt.step()
            print(validate())


def repaired_with_gradients(trace: Tracing) -> None:
    train_loader, valid_loader = loaders()
    net = nn.Sequential(nn.Linear(10, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)

    def validate() -> float:
        net.eval()
        total = 0.0
        with torch.no_grad():
            for xb, yb in valid_loader:
                scores = net(xb)
                total += F.cross_entropy(scores, yb).item()
        net.train()
        return total

    with trace(net, opt, into=[validate]):
        for _epoch in range(2):
            for xb, yb in train_loader:
                opt.zero_grad()
                F.cross_entropy(net(xb), yb).backward()
                opt.step()
            print(validate())


def repaired_batchnorm(trace: Tracing) -> None:
    train_loader, valid_loader = loaders()
    net = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for _epoch in range(3):
            for xb, yb in train_loader:
                opt.zero_grad()
                F.cross_entropy(net(xb), yb).backward()
                opt.step()
            net.eval()
            correct = 0
            for xb, yb in valid_loader:
                with torch.inference_mode():
                    correct += int((net(xb).argmax(1) == yb).sum())
            net.train()
