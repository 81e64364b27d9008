"""Nothing to blame: accumulation."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_accumulation(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    accumulation_steps = 3
    with trace(net, optimizer):
        optimizer.zero_grad()
        for i, (x, y) in enumerate(classes(12)):
            loss = F.cross_entropy(net(x), y) / accumulation_steps
            loss.backward()
            if (i + 1) % accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()


def sound_accumulation_with_leftovers(trace: Tracing) -> None:
    """Seven batches in groups of three: the last group is one batch, and divides by one."""
    loader = classes(7)
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    n = 3
    with trace(net, optimizer):
        for _epoch in range(2):
            for i, (x, y) in enumerate(loader):
                group = min(n, len(loader) - i // n * n)
                loss = F.cross_entropy(net(x), y)
                (loss / group).backward()
                if (i + 1) % n == 0 or i + 1 == len(loader):
                    optimizer.step()
                    optimizer.zero_grad()


def sound_accumulation_dividing_gradients(trace: Tracing) -> None:
    loader = classes(12)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for start in range(0, 12, 3):
            optimizer.zero_grad()
            for x, y in loader[start : start + 3]:
                F.cross_entropy(net(x), y).backward()
            for p in net.parameters():
                if p.grad is not None:
                    p.grad /= 3
            optimizer.step()


def sound_accumulation_of_sums(trace: Tracing) -> None:
    """Each loss is a sum over its examples, divided by the number of examples in the group."""
    loader = classes(8, size=4)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss(reduction="sum")
    with trace(net, optimizer):
        for start in range(0, 8, 2):
            group = loader[start : start + 2]
            examples = sum(len(x) for x, _ in group)
            optimizer.zero_grad()
            for x, y in group:
                loss = criterion(net(x), y) / examples
                loss.backward()
            optimizer.step()


def sound_accumulation_clipped(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8), start=1):
            (F.cross_entropy(net(x), y) / 2).backward()
            if i % 2 == 0:
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
