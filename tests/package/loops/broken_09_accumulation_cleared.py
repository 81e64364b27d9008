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


def broken_clipped(trace: Tracing) -> None:
    """Clipped in each pass, too: what a bare clip does to a gradient is no use of it."""
    net, clip = nn.Linear(3, 1), nn.utils.clip_grad_norm_
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for i, (x, y) in enumerate(regression(8), start=1):
            opt.zero_grad()  # <- discarded
            loss = nn.functional.mse_loss(net(x), y) / 4
            loss.backward()
            clip(net.parameters(), 1.0)
            if i % 4 == 0:
                opt.step()


def repaired_clipped(trace: Tracing) -> None:
    net, clip = nn.Linear(3, 1), nn.utils.clip_grad_norm_
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for i, (x, y) in enumerate(regression(8), start=1):
            loss = nn.functional.mse_loss(net(x), y) / 4
            loss.backward()
            if i % 4 == 0:
                clip(net.parameters(), 1.0)
                opt.step()
                opt.zero_grad()


def broken_in_groups(trace: Tracing) -> None:
    batches = regression(12)
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for group in (batches[:4], batches[4:8], batches[8:]):
            for x, y in group:
                opt.zero_grad()
                loss = nn.functional.mse_loss(net(x), y)
                (loss / len(group)).backward()
            opt.step()  # <- step-outside-loop


def repaired_in_groups(trace: Tracing) -> None:
    batches = regression(12)
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for group in (batches[:4], batches[4:8], batches[8:]):
            opt.zero_grad()
            for x, y in group:
                loss = nn.functional.mse_loss(net(x), y)
                (loss / len(group)).backward()
            opt.step()
