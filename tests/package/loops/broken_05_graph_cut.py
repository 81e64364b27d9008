"""Its author believed that `requires_grad_()` on the loss is the cure the error asks for."""

import numpy as np
import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    """argmax has no gradient, and `.float()` does not bring it back."""
    x = torch.randn(32, 4)
    y = (x.sum(dim=1) > 0).float()
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.MSELoss()
    with trace(net, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            predicted = torch.argmax(net(x), dim=1).float()
            loss = criterion(predicted, y)
            loss.requires_grad_()
            loss.backward()  # <- no-gradient
            optimizer.step()


def repaired(trace: Tracing) -> None:
    x = torch.randn(32, 4)
    y = (x.sum(dim=1) > 0).long()
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()


def broken_detach(trace: Tracing) -> None:
    inputs, targets = torch.randn(16, 3), torch.randn(16, 1)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with trace(model, optimizer):
        for _epoch in range(5):
            outputs = model(inputs).detach()
            loss = ((outputs - targets) ** 2).mean()
            loss.requires_grad = True
            optimizer.zero_grad()
            loss.backward()  # <- no-gradient
            optimizer.step()


def repaired_detach(trace: Tracing) -> None:
    inputs, targets = torch.randn(16, 3), torch.randn(16, 1)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with trace(model, optimizer):
        for _epoch in range(5):
            outputs = model(inputs)
            loss = ((outputs - targets) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_numpy(trace: Tracing) -> None:
    x, y = torch.randn(16, 3), torch.randn(16, 1)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, optimizer):
        for _epoch in range(4):
            prediction = model(x).data.numpy()
            mae = np.mean(np.abs(prediction - y.numpy()))
            loss = torch.tensor(float(mae), requires_grad=True)
            optimizer.zero_grad()
            loss.backward()  # <- no-gradient
            optimizer.step()


def repaired_numpy(trace: Tracing) -> None:
    x, y = torch.randn(16, 3), torch.randn(16, 1)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, optimizer):
        for _epoch in range(4):
            prediction = model(x)
            loss = torch.mean(torch.abs(prediction - y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def predict(model: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = model(x)
    return out


def broken_no_grad(trace: Tracing) -> None:
    """`predict` was written for inference, and is used again for training."""
    x, y = torch.randn(16, 5), torch.randint(0, 3, (16,))
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, optimizer):
        for _epoch in range(4):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(predict(model, x), y).requires_grad_(True)
            loss.backward()  # <- no-gradient
            optimizer.step()


def repaired_no_grad(trace: Tracing) -> None:
    x, y = torch.randn(16, 5), torch.randint(0, 3, (16,))
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, optimizer):
        for _epoch in range(4):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
