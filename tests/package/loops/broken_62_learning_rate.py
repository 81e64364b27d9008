"""Learning rates with which no step moves anything, or one spoils everything."""

import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def broken_zero(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()  # <- zero-lr


def repaired_zero(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def broken_zero_too_soon(trace: Tracing) -> None:
    net, epochs, batches = mlp(), 3, classes(4)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    schedule = lr_scheduler.PolynomialLR(optimizer, total_iters=epochs)
    with trace(net, optimizer):
        for _epoch in range(epochs):
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                schedule.step()  # <- zero-lr


def repaired_zero_too_soon(trace: Tracing) -> None:
    net, epochs, batches = mlp(), 3, classes(4)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    schedule = lr_scheduler.PolynomialLR(optimizer, total_iters=epochs)
    with trace(net, optimizer):
        for _epoch in range(epochs):
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            schedule.step()


def broken_first_epoch(trace: Tracing) -> None:
    net, batches = mlp(), classes(3)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    warmup = lr_scheduler.LambdaLR(opt, lambda epoch: min(1.0, epoch / 2))
    with trace(net, opt):
        for _epoch in range(3):
            for x, y in batches:
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()  # <- zero-lr
            warmup.step()


def repaired_first_epoch(trace: Tracing) -> None:
    net, batches = mlp(), classes(3)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    warmup = lr_scheduler.LambdaLR(opt, lambda epoch: min(1.0, (epoch + 1) / 2))
    with trace(net, opt):
        for _epoch in range(3):
            for x, y in batches:
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
            warmup.step()


def broken_nan(trace: Tracing) -> None:
    net = mlp(1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for i, (x, y) in enumerate(regression(4)):
            opt.zero_grad()
            F.mse_loss(net(x), y).backward()
            opt.step()
            if i == 1:
                opt.param_groups[0]["lr"] = float("inf") * 0  # <- not-finite


def repaired_nan(trace: Tracing) -> None:
    net = mlp(1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for i, (x, y) in enumerate(regression(4)):
            opt.zero_grad()
            F.mse_loss(net(x), y).backward()
            opt.step()
            if i == 1:
                opt.param_groups[0]["lr"] = 0.01
