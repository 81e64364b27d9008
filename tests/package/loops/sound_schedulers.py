"""Nothing to blame: schedulers."""

import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_step_lr(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    with trace(net, optimizer):
        for _epoch in range(3):
            for x, y in classes(3):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            scheduler.step()


def sound_one_cycle(trace: Tracing) -> None:
    batches = classes(8)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=8)
    with trace(net, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            scheduler.step()


def sound_cosine(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    with trace(net, optimizer):
        for x, y in classes(6):
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()


def sound_lambda_warmup(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 4))
    with trace(net, optimizer):
        for x, y in classes(6):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            scheduler.step()


def sound_sequential_warmup(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3)
    decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8)):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            if i < 3:
                warmup.step()
            else:
                decay.step()


def sound_reduce_on_plateau(trace: Tracing) -> None:
    train, valid = regression(3), regression(2)
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    with trace(net, optimizer):
        for _epoch in range(4):
            net.train()
            for x, y in train:
                optimizer.zero_grad()
                F.mse_loss(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                val_loss = sum(F.mse_loss(net(x), y).item() for x, y in valid) / len(valid)
            scheduler.step(val_loss)


def sound_manual_warmup(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for step, (x, y) in enumerate(classes(6)):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * min(1.0, (step + 1) / 3)
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_scheduler_with_accumulation(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8), start=1):
            (F.cross_entropy(net(x), y) / 2).backward()
            if i % 2 == 0:
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
