"""Its author believed that `requires_grad = False` keeps a parameter from every change."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    """Weight decay by hand, for all there is."""
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            for p in net.parameters():
                p.data.mul_(1 - 0.01)  # <- frozen-by-hand
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            for p in net.parameters():
                if p.requires_grad:
                    p.data.mul_(1 - 0.01)
            optimizer.step()


class Decayed(torch.optim.SGD):
    """Decays whatever it holds, before it asks for a gradient."""

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        with torch.no_grad():
            torch._foreach_mul_(self.param_groups[0]["params"], 1 - 0.01)
        super().step(closure)


def broken_in_the_optimizer(trace: Tracing) -> None:
    model = mlp()
    model[0].requires_grad_(False)
    opt = Decayed(model.parameters(), lr=0.1)
    with trace(model, opt):
        for x, y in classes(4):
            opt.zero_grad()
            F.cross_entropy(model(x), y).backward()
            opt.step()  # <- frozen-by-hand


def repaired_in_the_optimizer(trace: Tracing) -> None:
    model = mlp()
    model[0].requires_grad_(False)
    opt = Decayed([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with trace(model, opt):
        for x, y in classes(4):
            opt.zero_grad()
            F.cross_entropy(model(x), y).backward()
            opt.step()


def shake(parameters: Iterable[nn.Parameter]) -> None:
    with torch.no_grad():
        for p in parameters:
            p.add_(torch.randn_like(p), alpha=0.01)


def broken_noise(trace: Tracing) -> None:
    """Langevin's noise, for the frozen layer as well: it wanders off."""
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            shake(net.parameters())  # <- frozen-by-hand


def repaired_noise(trace: Tracing) -> None:
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            shake(net[2].parameters())
