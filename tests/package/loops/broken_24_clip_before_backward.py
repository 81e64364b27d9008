"""Its author believed that clipping is a setting, which holds for whatever backward() computes."""

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            clip_grad_norm_(net.parameters(), 0.1)  # <- clip-before-backward
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()


def broken_leftovers(trace: Tracing) -> None:
    """What it finds is what the last step has used; it is never None."""
    net = mlp()
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    net(torch.randn(1, 4)).sum().backward()
    with trace(net, opt):
        for x, y in classes():
            logits = net(x)
            clip_grad_norm_(list(net.parameters()), 0.01)  # <- clip-before-backward
            opt.zero_grad()
            nn.functional.cross_entropy(logits, y).backward()
            opt.step()


def repaired_leftovers(trace: Tracing) -> None:
    net = mlp()
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    net(torch.randn(1, 4)).sum().backward()
    with trace(net, opt):
        for x, y in classes():
            logits = net(x)
            opt.zero_grad()
            nn.functional.cross_entropy(logits, y).backward()
            clip_grad_norm_(list(net.parameters()), 0.01)
            opt.step()


def broken_zeros(trace: Tracing) -> None:
    """The same with a limit that these gradients never reach, and zeros for None."""
    net = mlp()
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    with trace(net, opt):
        for x, y in classes():
            opt.zero_grad(set_to_none=False)
            clip_grad_norm_(net.parameters(), 100.0)  # <- clip-before-backward
            nn.functional.cross_entropy(net(x), y).backward()
            opt.step()


def repaired_zeros(trace: Tracing) -> None:
    net = mlp()
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    with trace(net, opt):
        for x, y in classes():
            opt.zero_grad(set_to_none=False)
            nn.functional.cross_entropy(net(x), y).backward()
            clip_grad_norm_(net.parameters(), 100.0)
            opt.step()


def broken_each_micro_batch(trace: Tracing) -> None:
    """The first batches are clipped four times, the last one once."""
    loader = classes(12)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(loader, start=1):
            loss = nn.functional.cross_entropy(net(x), y) / 4
            loss.backward()
            clip_grad_norm_(net.parameters(), 0.05)  # <- clip-before-backward
            if i % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()


def repaired_each_micro_batch(trace: Tracing) -> None:
    loader = classes(12)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(loader, start=1):
            loss = nn.functional.cross_entropy(net(x), y) / 4
            loss.backward()
            if i % 4 == 0:
                clip_grad_norm_(net.parameters(), 0.05)
                optimizer.step()
                optimizer.zero_grad()


def broken_amp(trace: Tracing) -> None:
    net = mlp()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    with trace(net, opt, scaler):
        for x, y in classes():
            opt.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(net(x), y)
            clip_grad_norm_(net.parameters(), 0.1)  # <- clip-before-backward
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()


def repaired_amp(trace: Tracing) -> None:
    net = mlp()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    with trace(net, opt, scaler):
        for x, y in classes():
            opt.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(opt)
            clip_grad_norm_(net.parameters(), 0.1)
            scaler.step(opt)
            scaler.update()
