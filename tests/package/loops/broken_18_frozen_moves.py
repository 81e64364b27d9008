"""Its author believed that a parameter with `requires_grad = False` stays where it is."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from tests.package.loops import Tracing


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


def broken(trace: Tracing) -> None:
    """Zeros are left in the frozen layer, and the weight decay goes on."""
    net = network()
    x, y = torch.randn(16, 5), torch.randint(0, 3, (16,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1)
    with trace(net, optimizer):
        for epoch in range(6):
            if epoch == 2:  # from here on only the head learns
                for p in net[0].parameters():
                    p.requires_grad = False
            optimizer.zero_grad(set_to_none=False)
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()  # <- frozen-moves


def repaired(trace: Tracing) -> None:
    net = network()
    x, y = torch.randn(16, 5), torch.randint(0, 3, (16,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1)
    with trace(net, optimizer):
        for epoch in range(6):
            if epoch == 2:  # from here on only the head learns
                for p in net[0].parameters():
                    p.requires_grad = False
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def broken_momentum(trace: Tracing) -> None:
    """No weight decay here: what was learnt before still rolls on."""
    model = network()
    data, target = torch.randn(16, 5), torch.randint(0, 3, (16,))
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with trace(model, opt):
        for step in range(8):
            if step == 3:
                model[0].requires_grad_(False)
            F.cross_entropy(model(data), target).backward()
            opt.step()  # <- frozen-moves
            opt.zero_grad(set_to_none=False)


def repaired_momentum(trace: Tracing) -> None:
    model = network()
    data, target = torch.randn(16, 5), torch.randint(0, 3, (16,))
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with trace(model, opt):
        for step in range(8):
            if step == 3:
                model[0].requires_grad_(False)
            F.cross_entropy(model(data), target).backward()
            opt.step()
            opt.zero_grad()


def broken_everything_frozen(trace: Tracing) -> None:
    """The new head came before the freezing, and the loss is asked to mend it."""
    net = network()
    x, y = torch.randn(16, 5), torch.randint(0, 2, (16,))
    net[2] = nn.Linear(8, 2)
    for param in net.parameters():
        param.requires_grad = False
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.requires_grad_(True)
            loss.backward()  # <- no-gradient
            optimizer.step()


def repaired_everything_frozen(trace: Tracing) -> None:
    net = network()
    x, y = torch.randn(16, 5), torch.randint(0, 2, (16,))
    for param in net.parameters():
        param.requires_grad = False
    net[2] = nn.Linear(8, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
