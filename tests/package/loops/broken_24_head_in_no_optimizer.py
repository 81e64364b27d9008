"""Their authors gave the optimizer the body, and forgot the head: a network of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes


def body() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU())


def broken(trace: Tracing) -> None:
    net, head = body(), nn.Linear(8, 3)
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(head(net(x)), y).backward()
            optimizer.step()  # <- in-no-optimizer


def repaired(trace: Tracing) -> None:
    net, head = body(), nn.Linear(8, 3)
    optimizer = torch.optim.Adam(net.parameters())
    optimizer.add_param_group({"params": [head.weight, head.bias]})
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(head(net(x)), y).backward()
            optimizer.step()


def broken_watched(trace: Tracing) -> None:
    """Both are watched."""
    net, head = body(), nn.Linear(8, 3)
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, head, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(head(net(x)), y).backward()
            optimizer.step()  # <- in-no-optimizer


def repaired_watched(trace: Tracing) -> None:
    net, head = body(), nn.Linear(8, 3)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()])
    with trace(net, head, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(head(net(x)), y).backward()
            optimizer.step()


def broken_list(trace: Tracing) -> None:
    """Several heads, in a list."""
    net, heads = body(), [nn.Linear(8, 3), nn.Linear(8, 3)]
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            features = net(x)
            loss = torch.stack([F.cross_entropy(head(features), y) for head in heads]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # <- in-no-optimizer


def repaired_list(trace: Tracing) -> None:
    net, heads = body(), nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 3)])
    optimizer = torch.optim.Adam([*net.parameters(), *heads.parameters()])
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            features = net(x)
            loss = torch.stack([F.cross_entropy(head(features), y) for head in heads]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.LayerNorm(8), nn.Linear(8, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.norm(x))
        return out


class Trainer:
    def __init__(self, *, is_whole: bool) -> None:
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
        self.parts = {"head": Head()}
        more = self.parts["head"].parameters() if is_whole else ()
        self.optimizer = torch.optim.SGD([*self.net.parameters(), *more], lr=0.1)


def broken_dict(trace: Tracing) -> None:
    """In an object's dict."""
    trainer = Trainer(is_whole=False)
    with trace(trainer.net, trainer.optimizer):
        for x, y in classes()[:4]:
            trainer.optimizer.zero_grad()
            F.cross_entropy(trainer.parts["head"](trainer.net(x)), y).backward()
            trainer.optimizer.step()  # <- in-no-optimizer


def repaired_dict(trace: Tracing) -> None:
    trainer = Trainer(is_whole=True)
    with trace(trainer.net, trainer.optimizer):
        for x, y in classes()[:4]:
            trainer.optimizer.zero_grad()
            F.cross_entropy(trainer.parts["head"](trainer.net(x)), y).backward()
            trainer.optimizer.step()
