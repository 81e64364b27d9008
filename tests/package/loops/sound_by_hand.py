"""Nothing to blame: updates by hand."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_manual_sgd(trace: Tracing) -> None:
    net = mlp()
    lr = 0.1
    with trace(net):
        for x, y in classes():
            loss = F.cross_entropy(net(x), y)
            net.zero_grad()
            loss.backward()
            with torch.no_grad():
                for p in net.parameters():
                    p -= lr * p.grad  # type: ignore[operator, misc]


def sound_manual_data(trace: Tracing) -> None:
    net = nn.Linear(4, 1)
    with trace(net):
        for x, y in regression():
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            for p in net.parameters():
                p.data = p.data - 0.05 * p.grad.data  # type: ignore[union-attr]
                p.grad.data.zero_()  # type: ignore[union-attr]


def sound_manual_momentum(trace: Tracing) -> None:
    net = mlp()
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    with trace(net):
        for x, y in classes():
            gradients = torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters()))
            with torch.no_grad():
                for p, v, g in zip(net.parameters(), velocity, gradients, strict=True):
                    v.mul_(0.9).add_(g)
                    p.sub_(v, alpha=0.05)


def sound_weights_written_after_the_step(trace: Tracing) -> None:
    """A norm constraint on the weights: they change on a line that is no step."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for p in net.parameters():
                    if p.dim() > 1:
                        p.copy_(p.renorm(2, 0, 1.0))
