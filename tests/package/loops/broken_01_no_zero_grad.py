"""Its author believed that `backward()` replaces the gradient of the batch before."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.package.loops import Tracing


def flowers() -> TensorDataset:
    inputs = torch.randn(48, 4)
    return TensorDataset(inputs, inputs[:, :3].argmax(dim=1))


def broken(trace: Tracing) -> None:
    train_loader = DataLoader(flowers(), batch_size=16)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    with trace(model, optimizer):
        for _epoch in range(2):
            for inputs, labels in train_loader:
                outputs = model(inputs)
                loss = criterion(outputs, labels)
                loss.backward()  # <- accumulates
                optimizer.step()


def repaired(trace: Tracing) -> None:
    train_loader = DataLoader(flowers(), batch_size=16)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    with trace(model, optimizer):
        for _epoch in range(2):
            for inputs, labels in train_loader:
                optimizer.zero_grad()
                outputs = model(inputs)
                loss = criterion(outputs, labels)
                loss.backward()
                optimizer.step()


def broken_once_an_epoch(trace: Tracing) -> None:
    loader = DataLoader(flowers(), batch_size=12)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _epoch in range(2):
            optimizer.zero_grad()
            running_loss = 0.0
            for x, y in loader:
                loss = nn.functional.cross_entropy(net(x), y)
                loss.backward()  # <- accumulates
                optimizer.step()
                running_loss += loss.item()


def repaired_once_an_epoch(trace: Tracing) -> None:
    loader = DataLoader(flowers(), batch_size=12)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _epoch in range(2):
            running_loss = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
                running_loss += loss.item()


def broken_part_only(trace: Tracing) -> None:
    """Two optimizers for two halves, and only one of them is cleared."""
    model = nn.ModuleDict({"body": nn.Linear(4, 8), "head": nn.Linear(8, 3)})
    body_opt = torch.optim.SGD(model["body"].parameters(), lr=0.01)
    head_opt = torch.optim.SGD(model["head"].parameters(), lr=0.1)
    x = torch.randn(16, 4)
    y = torch.randint(0, 3, (16,))
    with trace(model, body_opt, head_opt):
        for _ in range(5):
            head_opt.zero_grad()
            logits = model["head"](torch.tanh(model["body"](x)))
            loss = nn.functional.cross_entropy(logits, y)
            loss.backward()  # <- accumulates
            body_opt.step()
            head_opt.step()


def repaired_part_only(trace: Tracing) -> None:
    model = nn.ModuleDict({"body": nn.Linear(4, 8), "head": nn.Linear(8, 3)})
    body_opt = torch.optim.SGD(model["body"].parameters(), lr=0.01)
    head_opt = torch.optim.SGD(model["head"].parameters(), lr=0.1)
    x = torch.randn(16, 4)
    y = torch.randint(0, 3, (16,))
    with trace(model, body_opt, head_opt):
        for _ in range(5):
            body_opt.zero_grad()
            head_opt.zero_grad()
            logits = model["head"](torch.tanh(model["body"](x)))
            loss = nn.functional.cross_entropy(logits, y)
            loss.backward()
            body_opt.step()
            head_opt.step()


def broken_scaled(trace: Tracing) -> None:
    """Mixed precision hides nothing: the scaler unscales the sum of all batches."""
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with trace(net, optimizer, scaler):
        for x, y in DataLoader(flowers(), batch_size=16):
            loss = nn.functional.cross_entropy(net(x), y)
            scaler.scale(loss).backward()  # <- accumulates
            scaler.step(optimizer)
            scaler.update()


def repaired_scaled(trace: Tracing) -> None:
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with trace(net, optimizer, scaler):
        for x, y in DataLoader(flowers(), batch_size=16):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
