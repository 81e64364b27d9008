"""Two networks, or two layers, and no gradient comes from the second to the first."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    """What is chosen has no slope."""
    first, second = nn.Linear(4, 5), nn.Sequential(nn.Embedding(5, 6), nn.Linear(6, 3))
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=1e-2)
    with trace(first, second, optimizer):
        for x, y in classes():
            scores = first(x)
            symbol = torch.max(scores, 1)[1]  # <- cut-between
            loss = F.cross_entropy(second(symbol), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    first, second = nn.Linear(4, 5), nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3))
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=1e-2)
    with trace(first, second, optimizer):
        for x, y in classes():
            scores = first(x)
            symbol = F.gumbel_softmax(scores, hard=True)
            loss = F.cross_entropy(second(symbol), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Two(nn.Module):
    """A body and a head, and what is between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        h = self.between(self.body(x).relu())
        out: Tensor = self.head(h)
        return out


def copied(h: Tensor) -> Tensor:
    return torch.tensor(h.tolist())


def broken_layers(trace: Tracing) -> None:
    net = Two(torch.detach)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)  # <- cut-between
            loss.backward()
            optimizer.step()


def repaired_layers(trace: Tracing) -> None:
    net = Two(nn.Identity())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def broken_copy(trace: Tracing) -> None:
    net = Two(copied)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)  # <- cut-between
            loss.backward()
            optimizer.step()


def repaired_copy(trace: Tracing) -> None:
    net = Two(nn.Identity())
    net.body.requires_grad_(False)
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def broken_generator(trace: Tracing) -> None:
    """Detached once too often: the generator's own loss does not reach it."""
    net_g, net_d = mlp(2), mlp(1)
    net_d[0] = nn.Linear(2, 8)
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=1e-3)
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=1e-3)
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
    with trace(net_g, net_d, optimizer_g, optimizer_d):
        for x, _ in classes():
            fake = net_g(x).detach()  # <- cut-between
            loss_d = criterion(net_d(x[:, :2]), ones) + criterion(net_d(fake), zeros)
            optimizer_d.zero_grad()
            loss_d.backward()
            optimizer_d.step()
            loss_g = criterion(net_d(fake), ones)
            optimizer_g.zero_grad()
            loss_g.backward()
            optimizer_g.step()


def repaired_generator(trace: Tracing) -> None:
    net_g, net_d = mlp(2), mlp(1)
    net_d[0] = nn.Linear(2, 8)
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=1e-3)
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=1e-3)
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
    with trace(net_g, net_d, optimizer_g, optimizer_d):
        for x, _ in classes():
            fake = net_g(x)
            loss_d = criterion(net_d(x[:, :2]), ones) + criterion(net_d(fake.detach()), zeros)
            optimizer_d.zero_grad()
            loss_d.backward()
            optimizer_d.step()
            loss_g = criterion(net_d(fake), ones)
            optimizer_g.zero_grad()
            loss_g.backward()
            optimizer_g.step()


def broken_inline(trace: Tracing) -> None:
    encoder, decoder = mlp(6), nn.Linear(6, 4)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    with trace(encoder, decoder, optimizer):
        for x, _ in classes():
            z = encoder(x)
            out = decoder(z.detach())  # <- cut-between
            loss = F.mse_loss(out, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_inline(trace: Tracing) -> None:
    encoder, decoder = mlp(6), nn.Linear(6, 4)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    with trace(encoder, decoder, optimizer):
        for x, _ in classes():
            z = encoder(x)
            out = decoder(z)
            loss = F.mse_loss(out, x) + 1e-3 * z.detach().square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
