"""Clips whose norm decides, or whose gradients go elsewhere: what is cleared was of use."""

import torch
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import regression


def sound_a_norm_that_decides(trace: Tracing) -> None:
    net = nn.Linear(4, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for number, (x, y) in enumerate(regression(8)):
            opt.zero_grad()
            loss = nn.functional.mse_loss(net(x * (100 if number % 3 else 1)), y)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            if norm > 100:
                continue
            opt.step()


def sound_clipped_for_each_sample(trace: Tracing) -> None:
    """As private training does it by hand."""
    net = nn.Linear(4, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, opt):
        for x, y in regression(3):
            sums = [torch.zeros_like(p) for p in net.parameters()]
            for one, target in zip(x, y, strict=True):
                opt.zero_grad()
                nn.functional.mse_loss(net(one), target).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                for p, total in zip(net.parameters(), sums, strict=True):
                    assert p.grad is not None
                    total += p.grad
            for p, total in zip(net.parameters(), sums, strict=True):
                p.grad = total / len(x)
            opt.step()
