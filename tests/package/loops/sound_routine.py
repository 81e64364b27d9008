"""Nothing to blame: the routine, and its harmless variations."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import Batches, classes, mlp


def sound_routine(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def sound_zero_grad_last(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def sound_zero_grad_before_backward(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in classes(3):
                loss = F.cross_entropy(net(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def sound_zero_grad_twice(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def sound_net_zero_grad(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    with trace(net, optimizer):
        for x, y in classes():
            net.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_set_to_none_false(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad(set_to_none=False)
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def sound_grad_set_to_none_by_hand(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            for p in net.parameters():
                p.grad = None
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_fresh_parameters(trace: Tracing) -> None:
    """The first `zero_grad` comes after the first step."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = classes()
    with trace(net, optimizer):
        for i, (x, y) in enumerate(batches):
            if i > 0:
                optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_single_step(trace: Tracing) -> None:
    (x, y), *_ = classes(1)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()


def sound_backward_only(trace: Tracing) -> None:
    (x, y), *_ = classes(1)
    net = mlp()
    with trace(net):
        loss = F.cross_entropy(net(x), y)
        loss.backward()


def sound_backward_only_with_optimizer(trace: Tracing) -> None:
    (x, y), *_ = classes(1)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        optimizer.zero_grad()
        outputs = net(x)
        loss = F.cross_entropy(outputs, y)
        loss.backward()


def sound_look_at_accumulation(trace: Tracing) -> None:
    """A lesson: the gradient doubles when nobody clears it."""
    (x, y), *_ = classes(1)
    net = mlp()
    with trace(net):
        F.cross_entropy(net(x), y).backward()
        F.cross_entropy(net(x), y).backward()


def sound_look_at_one_graph_twice(trace: Tracing) -> None:
    (x, y), *_ = classes(1)
    net = mlp()
    with trace(net):
        loss = F.cross_entropy(net(x), y)
        loss.backward(retain_graph=True)
        loss.backward()


def sound_helpers(trace: Tracing) -> None:
    """The lines are in functions of their own."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    train_loader, valid_loader = classes(3), classes(2)
    with trace(net, optimizer, into=[train_one_epoch, validate]):
        for _epoch in range(2):
            train_one_epoch(net, train_loader, optimizer)
            validate(net, valid_loader)


def train_one_epoch(net: nn.Module, loader: Batches, optimizer: torch.optim.Optimizer) -> float:
    net.train()
    running = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(x)
    return running / sum(len(x) for x, _ in loader)


@torch.no_grad()
def validate(net: nn.Module, loader: Batches) -> float:
    net.eval()
    correct = sum(int((net(x).argmax(1) == y).sum()) for x, y in loader)
    return correct / sum(len(x) for x, _ in loader)


def sound_generator_of_batches(trace: Tracing) -> None:

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield from classes()

    net = mlp()
    optimizer = torch.optim.NAdam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
