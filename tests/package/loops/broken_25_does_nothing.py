"""Their authors believed that a line does what its name says."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken_result_dropped(trace: Tracing) -> None:
    net, device = mlp(), torch.device("cpu")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    seen: list[Tensor] = []
    with trace(net, optimizer):
        for x, y in classes(3):
            x.to(device)  # <- no-effect
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            for p in net.parameters():
                if p.grad is not None:
                    p.grad.data.clamp(-1, 1)  # <- no-effect
            optimizer.step()
            loss.detach()  # <- no-effect
            seen = [loss]
        torch.no_grad()  # <- no-effect
        torch.clamp(seen[0], 0, 1)


def repaired_result_dropped(trace: Tracing) -> None:
    net, device = mlp(), torch.device("cpu")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    seen: list[Tensor] = []
    with trace(net, optimizer):
        for x, y in classes(3):
            inputs = x.to(device)
            optimizer.zero_grad()
            loss = F.cross_entropy(net(inputs), y)
            loss.backward()
            for p in net.parameters():
                if p.grad is not None:
                    p.grad.data.clamp_(-1, 1)
            optimizer.step()
            loss.detach_()
            seen = [loss]
        with torch.no_grad():
            seen[0].clamp_(0, 1)


def broken_loads_itself(trace: Tracing) -> None:
    net = mlp()
    target = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in classes(3):
            with torch.no_grad():
                wanted = target(x).max(1).values
            loss = F.mse_loss(net(x).max(1).values, wanted + 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            target.load_state_dict(target.state_dict())  # <- copies-itself


def repaired_loads_itself(trace: Tracing) -> None:
    net = mlp()
    target = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in classes(3):
            with torch.no_grad():
                wanted = target(x).max(1).values
            loss = F.mse_loss(net(x).max(1).values, wanted + 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            target.load_state_dict(net.state_dict())


def broken_best(trace: Tracing) -> None:
    """What `state_dict` gives are the parameters themselves, and they move on."""
    net, lowest = mlp(), float("inf")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    best = {}
    with trace(net, optimizer):
        for x, y in classes(4):
            loss = F.cross_entropy(net(x), y)
            if loss.item() < lowest:
                lowest, best["net"] = loss.item(), net.state_dict()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.load_state_dict(best["net"])  # <- copies-itself


def repaired_best(trace: Tracing) -> None:
    net, lowest = mlp(), float("inf")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    best = {}
    with trace(net, optimizer):
        for x, y in classes(4):
            loss = F.cross_entropy(net(x), y)
            if loss.item() < lowest:
                lowest, best["net"] = loss.item(), copy.deepcopy(net.state_dict())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.load_state_dict(best["net"])


def broken_average_of_itself(trace: Tracing) -> None:
    net = mlp()
    slow = net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            for s, p in zip(slow.parameters(), net.parameters(), strict=True):
                s.data.copy_(0.9 * s.data + 0.1 * p.data)  # <- copies-itself
        slow.load_state_dict(net.state_dict())  # <- copies-itself


def repaired_average_of_itself(trace: Tracing) -> None:
    net = mlp()
    slow = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            for s, p in zip(slow.parameters(), net.parameters(), strict=True):
                s.data.copy_(0.9 * s.data + 0.1 * p.data)
        slow.load_state_dict(net.state_dict())


def train(net: nn.Module, trace: Tracing) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(2):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def broken_misspelt(trace: Tracing) -> None:
    net: Any = mlp()
    for p in net[0].parameters():
        p.require_grad = False  # <- misnamed
    net[2].bias.requires_grad_ = False  # <- misnamed
    train(net, trace)


def repaired_misspelt(trace: Tracing) -> None:
    net: Any = mlp()
    for p in net[0].parameters():
        p.requires_grad = False
    net[2].bias.requires_grad_(False)
    train(net, trace)


def broken_frozen_module(trace: Tracing) -> None:
    net: Any = mlp()
    for layer in net[:2]:
        layer.requires_grad = False  # <- misnamed
    train(net, trace)


def repaired_frozen_module(trace: Tracing) -> None:
    net: Any = mlp()
    for layer in net[:2]:
        layer.requires_grad_(False)
    train(net, trace)


def broken_habit_of_another_library(trace: Tracing) -> None:
    net: Any = mlp()
    net[0].trainable = False  # <- misnamed
    train(net, trace)


def repaired_habit_of_another_library(trace: Tracing) -> None:
    net: Any = mlp()
    net[0].requires_grad_(False)
    train(net, trace)
