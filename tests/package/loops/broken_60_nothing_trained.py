"""Loops in which nothing was trained, or nearly nothing, and no error says so."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def broken_backward_named(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward  # <- not-called
            optimizer.step()


def repaired_backward_named(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def broken_clear_named(trace: Tracing) -> None:
    net = mlp(1)
    opt = torch.optim.Adam(net.parameters())
    schedule = lr_scheduler.StepLR(opt, 2)
    with trace(net, opt):
        for x, y in regression(4):
            opt.zero_grad  # <- not-called
            F.mse_loss(net(x), y).backward()
            opt.step()
            schedule.step  # once too few  # <- not-called


def repaired_clear_named(trace: Tracing) -> None:
    net = mlp(1)
    opt = torch.optim.Adam(net.parameters())
    schedule = lr_scheduler.StepLR(opt, 2)
    with trace(net, opt):
        for x, y in regression(4):
            opt.zero_grad()
            F.mse_loss(net(x), y).backward()
            opt.step()
            schedule.step()


def broken_mode_named(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 3)).eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            net.train  # <- not-called
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def repaired_mode_named(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 3)).eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            net.train()
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def broken_no_backward(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in regression(3):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            assert loss.requires_grad
            optimizer.step()  # <- no-backward


def repaired_no_backward(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in regression(3):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()


def broken_frozen(trace: Tracing) -> None:
    net = nn.ModuleDict({"body": nn.Linear(4, 4), "head": nn.Linear(4, 3)})
    for name, p in net.named_parameters():
        p.requires_grad_("classifier" in name)  # it is called "head" here
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(net["head"](net["body"](x)), y)
            loss.backward()  # <- no-gradient
            optimizer.step()


def repaired_frozen(trace: Tracing) -> None:
    net = nn.ModuleDict({"body": nn.Linear(4, 4), "head": nn.Linear(4, 3)})
    for name, p in net.named_parameters():
        p.requires_grad_("head" in name)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(net["head"](net["body"](x)), y)
            loss.backward()
            optimizer.step()


def broken_used_up(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    batches = zip(x.split(8), y.split(8), strict=True)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(3):
            for a, b in batches:  # <- used-up
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()


def repaired_used_up(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(3):
            batches = zip(x.split(8), y.split(8), strict=True)
            for a, b in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()


def broken_used_up_in_a_function(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def fit(data: Iterable[tuple[torch.Tensor, torch.Tensor]], epochs: int = 3) -> None:
        for _epoch in range(epochs):
            for a, b in data:  # <- used-up
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()

    with trace(net, optimizer, into=[fit]):
        fit(zip(x.split(8), y.split(8), strict=True))


def repaired_used_up_in_a_function(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def fit(data: Iterable[tuple[torch.Tensor, torch.Tensor]], epochs: int = 3) -> None:
        for _epoch in range(epochs):
            for a, b in data:
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()

    with trace(net, optimizer, into=[fit]):
        fit(zip(x.split(8), y.split(8), strict=True), epochs=1)
        fit(list(zip(x.split(8), y.split(8), strict=True)))


def broken_used_up_by_the_caller(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def fit(*, data: Iterable[tuple[torch.Tensor, torch.Tensor]], epochs: int) -> None:
        for _epoch in range(epochs):
            for a, b in data:  # <- used-up
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()

    batches = zip(x.split(8), y.split(8), strict=True)
    with trace(net, optimizer, into=[fit]):
        for _round in range(2):
            fit(data=batches, epochs=1)


def repaired_used_up_by_the_caller(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def fit(*, data: Iterable[tuple[torch.Tensor, torch.Tensor]], epochs: int) -> None:
        for _epoch in range(epochs):
            for a, b in data:
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()

    with trace(net, optimizer, into=[fit]):
        for _round in range(2):
            batches = zip(x.split(8), y.split(8), strict=True)
            fit(data=batches, epochs=1)


def broken_backward_named_of_a_call(trace: Tracing) -> None:
    net, criterion = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            net.zero_grad()
            criterion(net(x), y).backward  # <- not-called
            optimizer.step()


def repaired_backward_named_of_a_call(trace: Tracing) -> None:
    net, criterion = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            net.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
