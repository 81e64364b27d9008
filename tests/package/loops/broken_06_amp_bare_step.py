"""Its author believed that scaling the loss is all there is to AMP."""

import torch
from torch import nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    x, y = torch.randn(32, 8), torch.randint(0, 4, (32,))
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu")

    with trace(model, optimizer, scaler):
        for _ in range(4):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            optimizer.step()  # <- step-without-unscale


def repaired(trace: Tracing) -> None:
    x, y = torch.randn(32, 8), torch.randint(0, 4, (32,))
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu")

    with trace(model, optimizer, scaler):
        for _ in range(4):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()


def broken_clipped(trace: Tracing) -> None:
    """Both at once: what the clipping leaves is tiny or not by chance, and the step is bare."""
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
    opt = torch.optim.AdamW(net.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, opt, scaler):
        for _ in range(4):
            opt.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.mse_loss(net(x).float(), y)
            scaler.scale(loss).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)  # <- clip-before-unscale
            opt.step()  # <- step-without-unscale


def repaired_clipped(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
    opt = torch.optim.AdamW(net.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, opt, scaler):
        for _ in range(4):
            opt.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.mse_loss(net(x).float(), y)
            scaler.scale(loss).backward()
            scaler.unscale_(opt)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(opt)
            scaler.update()
