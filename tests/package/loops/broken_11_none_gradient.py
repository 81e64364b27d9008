"""Its author believed that a cleared gradient is zero, so one can calculate with it."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    """Raises AttributeError, at the end of the first epoch."""
    batches = [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(4)]
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for epoch in range(2):
            for x, y in batches:
                loss = nn.functional.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            total_norm = 0.0
            for p in net.parameters():
                total_norm += p.grad.norm().item() ** 2  # type: ignore[union-attr]  # <- none-gradient
            print(epoch, total_norm**0.5)


def repaired(trace: Tracing) -> None:
    batches = [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(4)]
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for epoch in range(2):
            for x, y in batches:
                loss = nn.functional.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
                total_norm = 0.0
                for p in net.parameters():
                    if p.grad is not None:
                        total_norm += p.grad.norm().item() ** 2
                optimizer.zero_grad()
            print(epoch, total_norm**0.5)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 6)
        self.head = nn.Linear(6, 1)
        self.auxiliary = nn.Linear(6, 1)  # for later

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.tanh(self.body(x)))
        return out


def broken_unused_layer(trace: Tracing) -> None:
    """Raises TypeError: noise is added to every gradient, and one layer has none."""
    x, y = torch.randn(10, 3), torch.randn(10, 1)
    model = TwoHeads()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, opt):
        for _ in range(4):
            opt.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            for p in model.parameters():
                p.grad = p.grad + 0.01 * torch.randn_like(p)  # type: ignore[operator]  # <- none-gradient
            opt.step()


def repaired_unused_layer(trace: Tracing) -> None:
    x, y = torch.randn(10, 3), torch.randn(10, 1)
    model = TwoHeads()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, opt):
        for _ in range(4):
            opt.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            for p in model.parameters():
                if p.grad is not None:
                    p.grad = p.grad + 0.01 * torch.randn_like(p)
            opt.step()
