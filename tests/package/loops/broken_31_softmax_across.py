"""Its author gave the dimension as 0, or none at all, and the batch was normalised."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.NLLLoss()
    with trace(net, optimizer):
        for x, y in classes(3):
            loss = criterion(net(x), y)  # <- softmax-across
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.NLLLoss()
    with trace(net, optimizer):
        for x, y in classes(3):
            loss = criterion(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_as_many_classes_as_examples(trace: Tracing) -> None:
    """(3, 3), and the labels are no pairing of rows with columns."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(3, 4), torch.tensor([2, 0, 0])
            loss = F.cross_entropy(F.log_softmax(net(x), dim=0), y)  # <- softmax-across
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_as_many_classes_as_examples(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(3, 4), torch.tensor([2, 0, 0])
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_pixels(trace: Tracing) -> None:
    """Each row of an image was normalised, not the classes of a pixel."""
    net = nn.Conv2d(1, 3, 3, padding=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(2, 1, 4, 4), torch.randint(3, (2, 4, 4))
            log_p = F.log_softmax(net(x), dim=-1)
            loss = F.nll_loss(log_p, y)  # <- softmax-across
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_pixels(trace: Tracing) -> None:
    net = nn.Conv2d(1, 3, 3, padding=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x, y = torch.randn(2, 1, 4, 4), torch.randint(3, (2, 4, 4))
            log_p = F.log_softmax(net(x), dim=1)
            loss = F.nll_loss(log_p, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_teacher(trace: Tracing) -> None:
    """The student's classes sum to 1, the teacher's batch does."""
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    kl = nn.KLDivLoss(reduction="batchmean")
    with trace(student, optimizer):
        for x, _ in classes(3):
            aim = F.softmax(teacher(x).detach(), dim=0)
            loss = kl(F.log_softmax(student(x), dim=1), aim)  # <- softmax-across
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_teacher(trace: Tracing) -> None:
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    kl = nn.KLDivLoss(reduction="batchmean")
    with trace(student, optimizer):
        for x, _ in classes(3):
            aim = F.softmax(teacher(x).detach(), dim=1)
            loss = kl(F.log_softmax(student(x), dim=1), aim)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_picked(trace: Tracing) -> None:
    """A likelihood that is written out."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            log_p = F.log_softmax(net(x), dim=0)
            loss = -log_p[torch.arange(len(y)), y].mean()
            optimizer.zero_grad()
            loss.backward()  # <- softmax-across
            optimizer.step()


def repaired_picked(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            log_p = F.log_softmax(net(x), dim=1)
            loss = -log_p[torch.arange(len(y)), y].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_squares(trace: Tracing) -> None:
    """Probabilities beside a 1 for the class of each example."""
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            aim = F.one_hot(y, 3).float()
            loss = F.mse_loss(net(x), aim)  # <- softmax-across
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_squares(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            aim = F.one_hot(y, 3).float()
            loss = F.mse_loss(net(x), aim) + F.binary_cross_entropy(net(x), aim)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_summed(trace: Tracing) -> None:
    """The logarithm of a softmax over the batch, times a 1 for each example's class."""
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            loss = -(F.one_hot(y, 3) * torch.log(net(x))).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()  # <- softmax-across
            optimizer.step()


def repaired_summed(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            loss = -(F.one_hot(y, 3) * torch.log(net(x))).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_logarithm(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            loss = F.nll_loss(torch.log(net(x)), y)  # <- softmax-across
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_logarithm(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            loss = F.nll_loss(torch.log(net(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
