"""Its author believed that `zero_grad()` starts every batch, accumulation or not."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    batches = [(torch.randn(4, 5), torch.randint(0, 2, (4,))) for _ in range(12)]
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_fn = nn.CrossEntropyLoss()
    with trace(model, optimizer):
        for i, (x, y) in enumerate(batches):
            optimizer.zero_grad()  # <- discarded
            loss = loss_fn(model(x), y) / 3
            loss.backward()
            if (i + 1) % 3 == 0:
                optimizer.step()


def repaired(trace: Tracing) -> None:
    batches = [(torch.randn(4, 5), torch.randint(0, 2, (4,))) for _ in range(12)]
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_fn = nn.CrossEntropyLoss()
    with trace(model, optimizer):
        for i, (x, y) in enumerate(batches):
            loss = loss_fn(model(x), y) / 3
            loss.backward()
            if (i + 1) % 3 == 0:
                optimizer.step()
                optimizer.zero_grad()


def regression(n: int) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(4, 3), torch.randn(4, 1)) for _ in range(n)]


def broken_leftovers(trace: Tracing) -> None:
    """Five batches in groups of two: the fifth is thrown away when the next epoch begins."""
    loader = regression(5)
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for _epoch in range(3):
            opt.zero_grad()  # <- discarded
            for i, (x, y) in enumerate(loader, start=1):
                loss = nn.functional.mse_loss(net(x), y)
                (loss / 2).backward()
                if i % 2 == 0:
                    opt.step()
                    opt.zero_grad()


def repaired_leftovers(trace: Tracing) -> None:
    loader = regression(5)
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for _epoch in range(3):
            opt.zero_grad()
            for i, (x, y) in enumerate(loader, start=1):
                loss = nn.functional.mse_loss(net(x), y)
                (loss / 2).backward()
                if i % 2 == 0 or i == len(loader):
                    opt.step()
                    opt.zero_grad()
