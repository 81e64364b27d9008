"""Nothing to blame: clipping and mixed precision."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_clipping(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            nn.utils.clip_grad_norm_(net.parameters(), max_norm=0.05)
            optimizer.step()


def sound_clipping_by_value_and_hook(trace: Tracing) -> None:
    net = mlp()
    next(net.parameters()).register_hook(lambda g: g.clamp(-0.01, 0.01))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, optimizer):
        for x, y in classes():
            F.cross_entropy(net(x), y).backward()
            nn.utils.clip_grad_value_(net.parameters(), 0.02)
            optimizer.step()
            optimizer.zero_grad()


def sound_gradient_norm_logged_after_the_step(trace: Tracing) -> None:
    """An infinite limit only measures."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    norms = []
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            norms.append(nn.utils.clip_grad_norm_(net.parameters(), math.inf).item())


def sound_gradient_noise(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            for p in net.parameters():
                if p.grad is not None:
                    p.grad.add_(torch.randn_like(p.grad), alpha=0.01)
            optimizer.step()


def sound_amp(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, optimizer, scaler):
        for x, y in classes():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()


def sound_amp_clipped(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with trace(net, optimizer, scaler):
        for x, y in classes():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def sound_amp_skips_an_overflow(trace: Tracing) -> None:
    """The scaler finds an infinite gradient, skips the step and halves the scale."""
    batches = regression(6)
    batches[1] = (batches[1][0], batches[1][1] * float("inf"))
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, optimizer, scaler):
        for x, y in batches:
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                pred = net(x)
            loss = F.mse_loss(pred.float(), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()


def sound_amp_accumulation(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, optimizer, scaler):
        for i, (x, y) in enumerate(classes(8), start=1):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y) / 2
            scaler.scale(loss).backward()
            if i % 2 == 0:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(net.parameters(), 0.5)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()


def sound_autocast_without_scaler(trace: Tracing) -> None:
    """bfloat16 has float32's range, so it needs no scaler."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def sound_scaler_disabled(trace: Tracing) -> None:
    """The usual switch, off: clipping needs no `unscale_` then, nor does a step."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with trace(net, optimizer, scaler):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
