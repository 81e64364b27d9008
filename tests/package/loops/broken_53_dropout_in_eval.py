"""Its author believed that `eval()` switches every dropout off."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 3)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, p=0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.drop(torch.relu(self.fc1(x))))
        return out


class Told(Net):
    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, p=0.5, training=self.training)


class Listed(Net):
    """The layers stand in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.drops = [nn.Dropout(0.5)]

    def drop(self, x: Tensor) -> Tensor:
        return self.drops[0](x)  # type: ignore[no-any-return]


class Registered(Net):
    def __init__(self) -> None:
        super().__init__()
        self.drops = nn.ModuleList([nn.Dropout(0.5)])

    def drop(self, x: Tensor) -> Tensor:
        return self.drops[0](x)  # type: ignore[no-any-return]


class Fresh(Net):
    """The layer is made in each forward, and is in training mode then."""

    def drop(self, x: Tensor) -> Tensor:
        return nn.Dropout2d(0.5)(x[..., None, None])[..., 0, 0]  # type: ignore[no-any-return]


def broken(trace: Tracing) -> None:
    model, valid = Net(), classes(2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, optimizer):
        for x, y in classes(3):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                for xv, yv in valid:
                    print((model(xv).argmax(1) == yv).float().mean())  # <- dropout-in-eval


def repaired(trace: Tracing) -> None:
    model, valid = Told(), classes(2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, optimizer):
        for x, y in classes(3):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                for xv, yv in valid:
                    print((model(xv).argmax(1) == yv).float().mean())


def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net.eval()
    with torch.no_grad():
        right = int((net(x).argmax(1) == y).sum())
    net.train()
    return right / len(y)


def broken_listed(trace: Tracing) -> None:
    net = nn.Sequential(Listed(), nn.Linear(3, 3))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for x, y in classes(3):
            F.cross_entropy(net(x), y).backward()
            opt.step()
            opt.zero_grad()
            print(accuracy(net, x, y))  # <- dropout-in-eval


def repaired_listed(trace: Tracing) -> None:
    net = nn.Sequential(Registered(), nn.Linear(3, 3))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for x, y in classes(3):
            F.cross_entropy(net(x), y).backward()
            opt.step()
            opt.zero_grad()
            print(accuracy(net, x, y))


def broken_fresh(trace: Tracing) -> None:
    net = Fresh()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for x, y in classes(3):
            F.cross_entropy(net(x), y).backward()
            opt.step()
            opt.zero_grad()
            print(accuracy(net, x, y))  # <- dropout-in-eval


def repaired_fresh(trace: Tracing) -> None:
    net = Registered()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for x, y in classes(3):
            F.cross_entropy(net(x), y).backward()
            opt.step()
            opt.zero_grad()
            print(accuracy(net, x, y))
