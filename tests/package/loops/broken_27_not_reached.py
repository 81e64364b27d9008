"""Their authors hold a network that no loss reaches."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    """The generator's loss is computed from what was detached for the critic."""
    g, d = nn.Linear(4, 2), nn.Linear(2, 1)
    opt_d, opt_g = (torch.optim.Adam(net.parameters()) for net in (d, g))
    with trace(g, d, opt_g, opt_d):
        for _ in range(3):
            fake = g(torch.randn(8, 4)).detach()  # <- cut-between
            d_loss = (d(fake) - 1).square().mean()
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()
            g_loss = d(fake).square().mean()
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()


def repaired(trace: Tracing) -> None:
    g, d = nn.Linear(4, 2), nn.Linear(2, 1)
    opt_d, opt_g = (torch.optim.Adam(net.parameters()) for net in (d, g))
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


def broken_index(trace: Tracing) -> None:
    """An index has no gradient."""
    first, second = nn.Linear(4, 5), nn.Sequential(nn.Embedding(5, 6), nn.Linear(6, 3))
    opt = torch.optim.Adam([*first.parameters(), *second.parameters()])
    with trace(first, second, opt):
        for x, y in classes()[:4]:
            scores = first(x)
            symbol = torch.max(scores, 1)[1]  # <- cut-between
            out = second(symbol)
            loss = F.cross_entropy(out, y)
            opt.zero_grad()
            loss.backward()
            opt.step()


def repaired_index(trace: Tracing) -> None:
    first, second = nn.Linear(4, 5), nn.Linear(5, 3)
    opt = torch.optim.Adam([*first.parameters(), *second.parameters()])
    with trace(first, second, opt):
        for x, y in classes()[:4]:
            scores = first(x)
            out = second(F.gumbel_softmax(scores))
            loss = F.cross_entropy(out, y)
            opt.zero_grad()
            loss.backward()
            opt.step()


def broken_copied(trace: Tracing) -> None:
    """A copy is trained, the optimizer holds the original."""
    old = mlp()
    opt = torch.optim.SGD(old.parameters(), lr=0.1)
    net = copy.deepcopy(old)
    with trace(old, opt):
        for x, y in classes()[:4]:
            opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()  # <- other-parameters


def repaired_copied(trace: Tracing) -> None:
    net = copy.deepcopy(mlp())
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for x, y in classes()[:4]:
            opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
