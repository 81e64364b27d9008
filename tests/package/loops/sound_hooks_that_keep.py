"""Hooks and layers that keep what has a graph, for a step and no longer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_features_of_each_layer(trace: Tracing) -> None:
    net = mlp()
    features: dict[str, Tensor] = {}
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: features.update({name: out}))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(5):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y) + 0.01 * features["1"].square().mean()
            loss.backward()
            optimizer.step()


def sound_penalties_that_are_cleared(trace: Tracing) -> None:
    net = mlp()
    penalties: list[Tensor] = []
    for layer in net:
        layer.register_forward_hook(lambda _, __, out: penalties.append(out.square().mean()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(5):
            penalties.clear()
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            (loss + 0.01 * torch.stack(penalties).sum()).backward()
            optimizer.step()


class Window(nn.Module):
    """The last two outputs, of which the older one has no graph any more."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.last: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        self.last = [*(one.detach() for one in self.last[-1:]), out]
        return out


def sound_a_window(trace: Tracing) -> None:
    net = Window()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(5):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_several_passes_a_step(trace: Tracing) -> None:
    """A list grows over the passes of one step, and is used up in it."""
    net = mlp()
    kept: list[Tensor] = []
    net.register_forward_hook(lambda _, __, out: kept.append(out))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = classes(6)
    with trace(net, optimizer):
        for pair in zip(batches[::2], batches[1::2], strict=True):
            optimizer.zero_grad()
            for x, _ in pair:
                net(x)
            loss = sum(F.cross_entropy(o, y) for o, (_, y) in zip(kept, pair, strict=True))
            assert isinstance(loss, Tensor)
            loss.backward()
            optimizer.step()
            kept.clear()


class Penalized(nn.Module):
    """Adds up a penalty over its layers, and over the passes since somebody set it to zero."""

    def __init__(self, *, anew: bool) -> None:
        super().__init__()
        self.layers, self.anew = nn.ModuleList(nn.Linear(4, 4) for _ in range(3)), anew
        self.penalty = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        if self.anew:
            self.penalty = torch.zeros(())
        for layer in self.layers:
            x = layer(x).relu()
            self.penalty = self.penalty + 0.01 * x.square().mean()
        return x[:, :3]


def sound_a_penalty_of_all_layers(trace: Tracing) -> None:
    net = Penalized(anew=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(5):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y) + net.penalty
            loss.backward()
            optimizer.step()


def sound_a_penalty_of_several_passes(trace: Tracing) -> None:
    net = Penalized(anew=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = classes(6)
    with trace(net, optimizer):
        for pair in zip(batches[::2], batches[1::2], strict=True):
            optimizer.zero_grad()
            loss = sum(F.cross_entropy(net(x), y) for x, y in pair)
            (loss + net.penalty).backward()
            optimizer.step()
            net.penalty = torch.zeros(())


class State(nn.Module):
    """Goes on from where it was, through one step back and no further."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.Linear(7, 3), nn.Linear(3, 3)
        self.state = torch.zeros(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.state = self.cell(torch.cat([x, self.state.detach()], dim=1)).tanh()
        return self.head(self.state)  # type: ignore[no-any-return]


def sound_a_state_of_the_last_step(trace: Tracing) -> None:
    net = State()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(5):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
