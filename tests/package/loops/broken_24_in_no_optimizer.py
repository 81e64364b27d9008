"""Their authors made the optimizer, and then something else that was to learn."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    """Thawed after the first batches; the optimizer was built from what required a gradient."""
    batches, model = classes(), mlp()
    model[0].requires_grad_(False)
    opt = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with trace(model, opt):
        for i, (x, y) in enumerate(batches[:4]):
            if i == 1:
                model.requires_grad_(True)
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()  # <- in-no-optimizer


def repaired(trace: Tracing) -> None:
    batches, model = classes(), mlp()
    model[0].requires_grad_(False)
    opt = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with trace(model, opt):
        for i, (x, y) in enumerate(batches[:4]):
            if i == 1:
                model.requires_grad_(True)
                opt.add_param_group({"params": model[0].parameters()})
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()


class CenterLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(3, 3))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return (features - self.centers[labels]).square().sum(1).mean()


def broken_loss(trace: Tracing) -> None:
    """The loss has parameters of its own."""
    batches, net, center = classes(), mlp(), CenterLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in batches[:4]:
            outputs = net(x)
            loss = F.cross_entropy(outputs, y) + 0.1 * center(outputs, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # <- in-no-optimizer


def repaired_loss(trace: Tracing) -> None:
    batches, net, center = classes(), mlp(), CenterLoss()
    optimizer = torch.optim.SGD([*net.parameters(), *center.parameters()], lr=0.1)
    with trace(net, optimizer):
        for x, y in batches[:4]:
            outputs = net(x)
            loss = F.cross_entropy(outputs, y) + 0.1 * center(outputs, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Temperature(nn.Module):
    """The parameter that it keeps is no leaf any more."""

    def __init__(self, *, is_last: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        values = torch.ones(3, dtype=torch.float64)
        self.scale = nn.Parameter(values.float()) if is_last else nn.Parameter(values).float()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x) * self.scale
        return out


def _train(trace: Tracing, net: nn.Module) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def broken_copy(trace: Tracing) -> None:
    net = Temperature(is_last=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()  # <- in-no-optimizer


def repaired_copy(trace: Tracing) -> None:
    _train(trace, Temperature(is_last=True))


class Later(nn.Module):
    """Its head is there from the first batch on."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        if self.head is None:
            self.head = nn.Linear(h.shape[1], 3)
        out: Tensor = self.head(h)
        return out


def broken_later(trace: Tracing) -> None:
    net = Later()
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # <- in-no-optimizer


def repaired_later(trace: Tracing) -> None:
    net = Later()
    net(classes()[0][0])
    _train(trace, net)


def broken_half(trace: Tracing) -> None:
    """The last layer was left out."""
    net = mlp()
    optimizer = torch.optim.SGD(list(net.parameters())[:2], lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()  # <- in-no-optimizer


def repaired_half(trace: Tracing) -> None:
    _train(trace, mlp())


def broken_first_half(trace: Tracing) -> None:
    """The first layer was left out, and is as new as the other."""
    net = mlp()
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()  # <- in-no-optimizer


def repaired_first_half(trace: Tracing) -> None:
    _train(trace, mlp())


def broken_twins(trace: Tracing) -> None:
    """Both optimizers were given the critic."""
    g, d = nn.Linear(4, 2), nn.Linear(2, 1)
    opt_d = torch.optim.Adam(d.parameters(), lr=1e-3)
    opt_g = torch.optim.Adam(d.parameters(), lr=1e-3)
    with trace(g, d, opt_g, opt_d):
        for _ in range(3):
            fake = g(torch.randn(8, 4))
            d_loss = (d(fake.detach()) - 1).square().mean()
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()
            g_loss = d(fake).square().mean()
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()  # <- in-no-optimizer


def repaired_twins(trace: Tracing) -> None:
    g, d = nn.Linear(4, 2), nn.Linear(2, 1)
    opt_d = torch.optim.Adam(d.parameters(), lr=1e-3)
    opt_g = torch.optim.Adam(g.parameters(), lr=1e-3)
    with trace(g, d, opt_g, opt_d):
        for _ in range(3):
            fake = g(torch.randn(8, 4))
            d_loss = (d(fake.detach()) - 1).square().mean()
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()
            g_loss = d(fake).square().mean()
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()
