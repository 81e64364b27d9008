"""Its author believed that a network is its parameters."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, regression


def network(n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, n_out))


def broken(trace: Tracing) -> None:
    """A mean teacher in eval mode, with the statistics of a network that has learnt nothing."""
    student = network(3)
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    opt = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, opt):
        for x, y in classes(4):
            outputs = student(x)
            loss = F.cross_entropy(outputs, y) + F.mse_loss(outputs, teacher(x))
            opt.zero_grad()
            loss.backward()
            opt.step()
            for ours, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
                ours.data.mul_(0.9).add_(theirs.data, alpha=0.1)  # <- average-without-buffers


def repaired(trace: Tracing) -> None:
    student = network(3)
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    opt = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, opt):
        for x, y in classes(4):
            outputs = student(x)
            loss = F.cross_entropy(outputs, y) + F.mse_loss(outputs, teacher(x))
            opt.zero_grad()
            loss.backward()
            opt.step()
            for ours, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
                ours.data.mul_(0.9).add_(theirs.data, alpha=0.1)
            for kept, new in zip(teacher.buffers(), student.buffers(), strict=True):
                kept.copy_(new)


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module) -> None:
    for ours, theirs in zip(target.parameters(), online.parameters(), strict=True):
        ours.lerp_(theirs, 0.05)


def broken_target(trace: Tracing) -> None:
    """A target critic, whose whole update is one call."""
    critic = network(1)
    target = copy.deepcopy(critic)
    target.eval()
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01)
    with trace(critic, target, optimizer):
        for x, reward in regression(4):
            with torch.no_grad():
                goal = reward + 0.9 * target(x + 0.1)
            loss = F.mse_loss(critic(x), goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            follow(target, critic)  # <- average-without-buffers


def repaired_target(trace: Tracing) -> None:
    critic = network(1)
    target = copy.deepcopy(critic)
    target.eval()
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01)
    with trace(critic, target, optimizer):
        for x, reward in regression(4):
            with torch.no_grad():
                goal = reward + 0.9 * target(x + 0.1)
            loss = F.mse_loss(critic(x), goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            follow(target, critic)
            with torch.no_grad():
                for ours, theirs in zip(target.buffers(), critic.buffers(), strict=True):
                    ours.copy_(theirs)
