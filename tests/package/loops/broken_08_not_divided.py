"""Its author believed that accumulating four batches is the same as one batch of four times."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


def micro_batches(n: int) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(4, 6), torch.randint(0, 3, (4,))) for _ in range(n)]


def broken(trace: Tracing) -> None:
    loader = micro_batches(16)
    accumulation_steps = 4
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer):
        optimizer.zero_grad()
        for i, (inputs, labels) in enumerate(loader):
            loss = criterion(net(inputs), labels)
            loss.backward()  # <- accumulation-not-divided
            if (i + 1) % accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()


def repaired(trace: Tracing) -> None:
    loader = micro_batches(16)
    accumulation_steps = 4
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    with trace(net, optimizer):
        optimizer.zero_grad()
        for i, (inputs, labels) in enumerate(loader):
            loss = criterion(net(inputs), labels) / accumulation_steps
            loss.backward()
            if (i + 1) % accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()


def broken_logged_only(trace: Tracing) -> None:
    """The division reaches the log, and not the gradient."""
    chunks = micro_batches(8)
    model = nn.Linear(6, 3)
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with trace(model, opt):
        for start in range(0, len(chunks), 2):
            opt.zero_grad()
            logged = 0.0
            for x, y in chunks[start : start + 2]:
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()  # <- accumulation-not-divided
                logged += loss.item() / 2
            opt.step()


def repaired_logged_only(trace: Tracing) -> None:
    chunks = micro_batches(8)
    model = nn.Linear(6, 3)
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with trace(model, opt):
        for start in range(0, len(chunks), 2):
            opt.zero_grad()
            logged = 0.0
            for x, y in chunks[start : start + 2]:
                loss = nn.functional.cross_entropy(model(x), y) / 2
                loss.backward()
                logged += loss.item()
            opt.step()


def broken_clipped(trace: Tracing) -> None:
    """A clipping that bites stands before the step."""
    loader = micro_batches(12)
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(loader, start=1):
            nn.functional.cross_entropy(net(x), y).backward()  # <- accumulation-not-divided
            if i % 3 == 0:
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad()


def repaired_clipped(trace: Tracing) -> None:
    loader = micro_batches(12)
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(loader, start=1):
            (nn.functional.cross_entropy(net(x), y) / 3).backward()
            if i % 3 == 0:
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad()
