"""Its author believed that clipping can follow `backward()` under AMP as it does elsewhere."""

import torch
from torch import nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    x, y = torch.randn(32, 8), torch.randint(0, 4, (32,))
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu")
    loss_fn = nn.CrossEntropyLoss()

    with trace(model, optimizer, scaler):
        for _ in range(5):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_fn(model(x), y)
            scaler.scale(loss).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # <- clip-before-unscale
            scaler.step(optimizer)
            scaler.update()


def repaired(trace: Tracing) -> None:
    x, y = torch.randn(32, 8), torch.randint(0, 4, (32,))
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu")
    loss_fn = nn.CrossEntropyLoss()

    with trace(model, optimizer, scaler):
        for _ in range(5):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_fn(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()


def broken_clip_value(trace: Tracing) -> None:
    """Unscaled too late: the clipped values are divided by the scale once more."""
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Linear(4, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with trace(net, opt, scaler):
        for _step in range(4):
            with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
                pred = net(x)
            loss = nn.functional.mse_loss(pred.float(), y)
            opt.zero_grad()
            scaler.scale(loss).backward()
            nn.utils.clip_grad_value_(net.parameters(), 0.5)  # <- clip-before-unscale
            scaler.unscale_(opt)
            scaler.step(opt)
            scaler.update()


def repaired_clip_value(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Linear(4, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with trace(net, opt, scaler):
        for _step in range(4):
            with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
                pred = net(x)
            loss = nn.functional.mse_loss(pred.float(), y)
            opt.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(opt)
            nn.utils.clip_grad_value_(net.parameters(), 0.5)
            scaler.step(opt)
            scaler.update()
