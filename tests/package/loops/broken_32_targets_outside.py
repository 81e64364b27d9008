"""Its author had labels for another loss."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def broken(trace: Tracing) -> None:
    """Labels of -1 and 1 are a margin's."""
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.BCEWithLogitsLoss()
    with trace(net, optimizer):
        for x, y in regression(3):
            optimizer.zero_grad()
            loss = criterion(net(x), y.sign())  # <- targets-outside
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.BCEWithLogitsLoss()
    with trace(net, optimizer):
        for x, y in regression(3):
            optimizer.zero_grad()
            loss = criterion(net(x), (y > 0).float())
            loss.backward()
            optimizer.step()


def broken_teachers_scores(trace: Tracing) -> None:
    """Of teacher and student only the student's scores become probabilities."""
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, optimizer):
        for x, _ in classes(3):
            aim = teacher(x).detach()
            loss = F.cross_entropy(student(x), aim)  # <- targets-outside
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_teachers_scores(trace: Tracing) -> None:
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, optimizer):
        for x, _ in classes(3):
            aim = teacher(x).detach()
            loss = F.cross_entropy(student(x), aim.softmax(dim=1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
