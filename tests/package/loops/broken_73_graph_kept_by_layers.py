"""Their authors kept `loss.item()` alone; a hook, or a layer, keeps graphs out of sight."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def broken_hook(trace: Tracing) -> object:
    net, total = mlp(), 0.0
    features: list[Tensor] = []
    net[1].register_forward_hook(lambda layer, inputs, outputs: features.append(outputs))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)  # <- graph-kept
            loss.backward()
            optimizer.step()
            total += loss.item()
    return features


def repaired_hook(trace: Tracing) -> object:
    net, total = mlp(), 0.0
    features: list[Tensor] = []
    net[1].register_forward_hook(lambda layer, inputs, outputs: features.append(outputs.detach()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
    return features


class Recorder:
    def __init__(self) -> None:
        self.seen: dict[str, list[Tensor]] = {}

    def note(self, layer: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> None:
        self.seen.setdefault(type(layer).__name__, []).append(outputs)


def broken_object_of_a_hook(trace: Tracing) -> object:
    net, recorder = mlp(), Recorder()
    net[0].register_forward_hook(recorder.note)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            outputs = net(x)  # <- graph-kept
            optimizer.zero_grad()
            F.cross_entropy(outputs, y).backward()
            optimizer.step()
    return recorder


def repaired_object_of_a_hook(trace: Tracing) -> object:
    net, recorder = mlp(), Recorder()
    net[0].register_forward_hook(recorder.note)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            outputs = net(x)
            optimizer.zero_grad()
            F.cross_entropy(outputs, y).backward()
            optimizer.step()
            recorder.seen.clear()
    return recorder


class Keeps(nn.Module):
    def __init__(self, *, detached: bool) -> None:
        super().__init__()
        self.layer, self.detached = nn.Linear(4, 3), detached
        self.features: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.layer(x).relu()
        self.features.append(h.detach() if self.detached else h)
        return h


def broken_layer(trace: Tracing) -> None:
    net = nn.Sequential(Keeps(detached=False), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()  # <- graph-kept
            optimizer.step()


def repaired_layer(trace: Tracing) -> None:
    net = nn.Sequential(Keeps(detached=True), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


class Sums(nn.Module):
    """Adds up how large its outputs are, for the log."""

    def __init__(self, *, detached: bool) -> None:
        super().__init__()
        self.layer, self.detached = nn.Linear(4, 3), detached
        self.size: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.layer(x).relu()
        self.size = self.size + (h.detach() if self.detached else h).square().mean()
        return h


def broken_sum_in_a_layer(trace: Tracing) -> None:
    net = nn.Sequential(Sums(detached=False), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)  # <- graph-kept
            loss.backward()
            optimizer.step()


def repaired_sum_in_a_layer(trace: Tracing) -> None:
    net = nn.Sequential(Sums(detached=True), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
