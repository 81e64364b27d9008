"""Its author moved a line by one indentation: of every epoch only the last batch is used."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def broken_step(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in batches:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
            optimizer.step()  # <- step-outside-loop


def repaired_step(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in batches:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()


def broken_step_at_the_end(trace: Tracing) -> None:
    net = mlp(1)
    opt = torch.optim.AdamW(net.parameters())
    with trace(net, opt):
        for x, y in regression(5):
            net.zero_grad()
            F.mse_loss(net(x), y).backward()
        opt.step()  # <- step-outside-loop


def repaired_step_at_the_end(trace: Tracing) -> None:
    net = mlp(1)
    opt = torch.optim.AdamW(net.parameters())
    with trace(net, opt):
        for x, y in regression(5):
            net.zero_grad()
            F.mse_loss(net(x), y).backward()
            opt.step()


def broken_backward(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in batches:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
            loss.backward()  # <- backward-outside-loop
            optimizer.step()


def repaired_backward(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in batches:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()


def broken_all_three(trace: Tracing) -> None:
    net, batches = mlp(1), regression(3)
    opt = torch.optim.Adam(net.parameters())
    shown = []
    with trace(net, opt):
        for _epoch in range(3):
            for x, y in batches:
                outputs = net(x)
                loss = F.mse_loss(outputs, y)
                shown.append(loss.item())
            opt.zero_grad()
            loss.backward()  # <- backward-outside-loop
            opt.step()


def repaired_all_three(trace: Tracing) -> None:
    net, batches = mlp(1), regression(3)
    opt = torch.optim.Adam(net.parameters())
    shown = []
    with trace(net, opt):
        for _epoch in range(3):
            for x, y in batches:
                outputs = net(x)
                loss = F.mse_loss(outputs, y)
                shown.append(loss.item())
                opt.zero_grad()
                loss.backward()
                opt.step()


def broken_step_after_calls(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")

    def learn(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(net(x), y)).backward()

    with trace(net, optimizer, scaler, into=[learn]):
        for _epoch in range(2):
            for x, y in batches:
                learn(x, y)
            scaler.step(optimizer)  # <- step-outside-loop
            scaler.update()


def repaired_step_after_calls(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")

    def learn(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(net(x), y)).backward()

    with trace(net, optimizer, scaler, into=[learn]):
        for _epoch in range(2):
            for x, y in batches:
                learn(x, y)
                scaler.step(optimizer)
                scaler.update()
