"""Its author took the name for the thing: what NLLLoss and KLDivLoss want are logarithms."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def _train(trace: Tracing, net: nn.Module, criterion: Callable[[Tensor, Tensor], Tensor]) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()


def broken(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.NLLLoss()
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = criterion(net(x), y)  # <- log-missing
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    _train(trace, nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1)), nn.NLLLoss())


def broken_scores(trace: Tracing) -> None:
    """No softmax at all: the loss falls for ever."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            F.nll_loss(net(x), y).backward()  # <- log-missing
            optimizer.step()


def repaired_scores(trace: Tracing) -> None:
    _train(trace, mlp(), lambda z, y: F.nll_loss(F.log_softmax(z, dim=1), y))


def broken_mean_of_probabilities(trace: Tracing) -> None:
    """No softmax comes straight before the criterion; the values tell."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            views = torch.stack([F.softmax(net(x + 0.1 * i), dim=1) for i in range(2)])
            loss = F.nll_loss(views.mean(0), y)  # <- log-missing
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_mean_of_probabilities(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            views = torch.stack([F.softmax(net(x + 0.1 * i), dim=1) for i in range(2)])
            loss = F.nll_loss(views.mean(0).log(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_distilled(trace: Tracing) -> None:
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, optimizer):
        for x, y in classes(3):
            aim = F.softmax(teacher(x).detach() / 2, dim=-1)
            logits = student(x)
            distilled = F.kl_div(  # <- log-missing
                F.softmax(logits / 2, dim=-1), aim, reduction="batchmean"
            )
            loss = F.cross_entropy(logits, y) + 4 * distilled
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_distilled(trace: Tracing) -> None:
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, optimizer):
        for x, y in classes(3):
            aim = F.softmax(teacher(x).detach() / 2, dim=-1)
            logits = student(x)
            distilled = F.kl_div(F.log_softmax(logits / 2, dim=-1), aim, reduction="batchmean")
            loss = F.cross_entropy(logits, y) + 4 * distilled
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _distil(trace: Tracing, distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, optimizer):
        for x, _ in classes(3):
            loss = distance(student(x), teacher(x).detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_distilled_scores(trace: Tracing) -> None:
    """Of two logarithms it has one: the target's probabilities are right."""
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    kl = nn.KLDivLoss(reduction="none")
    with trace(student, optimizer):
        for x, _ in classes(3):
            aim = F.softmax(teacher(x).detach(), dim=1)
            loss = kl(student(x) / 2, aim).sum(1).mean()  # <- log-missing
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_distilled_scores(trace: Tracing) -> None:
    kl = nn.KLDivLoss(reduction="none")
    _distil(trace, lambda s, t: kl(F.log_softmax(s / 2, 1), F.softmax(t, 1)).sum(1).mean())


def broken_target_in_logarithms(trace: Tracing) -> None:
    """It says that the target is a logarithm, and gives the probabilities."""
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    kl = nn.KLDivLoss(reduction="batchmean", log_target=True)
    with trace(student, optimizer):
        for x, _ in classes(3):
            aim = F.softmax(teacher(x).detach(), dim=1)
            loss = kl(F.log_softmax(student(x), dim=1), aim)  # <- log-missing
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_target_in_logarithms(trace: Tracing) -> None:
    kl = nn.KLDivLoss(reduction="batchmean", log_target=True)
    _distil(trace, lambda s, t: kl(F.log_softmax(s, dim=1), F.log_softmax(t, dim=1)))


def broken_letters(trace: Tracing) -> None:
    """CTC wants the logarithms as well."""
    net = nn.Linear(4, 5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CTCLoss()
    with trace(net, optimizer):
        for _ in range(3):
            p = net(torch.randn(2, 6, 4)).softmax(2).transpose(0, 1)
            aim = torch.randint(1, 5, (2, 3))
            loss = criterion(p, aim, torch.tensor([6, 6]), torch.tensor([3, 3]))  # <- log-missing
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_letters(trace: Tracing) -> None:
    net = nn.Linear(4, 5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CTCLoss()
    with trace(net, optimizer):
        for _ in range(3):
            p = net(torch.randn(2, 6, 4)).log_softmax(2).transpose(0, 1)
            aim = torch.randint(1, 5, (2, 3))
            loss = criterion(p, aim, torch.tensor([6, 6]), torch.tensor([3, 3]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_teacher_first(trace: Tracing) -> None:
    """Two mistakes in one: the teacher stands first, and without a logarithm."""
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, optimizer):
        for x, _ in classes(3):
            aim = F.softmax(teacher(x).detach(), dim=1)
            p = F.softmax(student(x), dim=1)
            loss = F.kl_div(aim, p, reduction="batchmean")  # <- log-missing
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_teacher_first(trace: Tracing) -> None:
    """The reverse divergence is a choice."""
    _distil(
        trace,
        lambda s, t: F.kl_div(F.log_softmax(t, dim=1), F.softmax(s, dim=1), reduction="batchmean"),
    )
