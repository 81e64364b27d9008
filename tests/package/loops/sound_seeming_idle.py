"""Nothing to blame: lines that look as if they did nothing, or copied a network to itself."""

import copy
import io
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_in_place(trace: Tracing) -> None:
    """A module's `to` and `float` are in place, and so is what ends in an underscore."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        net.to("cpu")
        net.float()
        net.train()
        for x, y in classes(4):
            x.requires_grad_()
            x.detach_()
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            loss.item()
            optimizer.step()
            torch.clamp(x, -1, 1, out=x)
        torch.set_grad_enabled(True)


def sound_target_network(trace: Tracing) -> None:
    net = mlp()
    target = mlp()
    target.load_state_dict(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in classes(4):
            with torch.no_grad():
                wanted = 0.9 * target(x).max(1).values
            optimizer.zero_grad()
            F.smooth_l1_loss(net(x).max(1).values, wanted).backward()
            optimizer.step()
            target.load_state_dict(net.state_dict())


def sound_soft_update_by_state(trace: Tracing) -> None:
    """The state is written in place: loading it is idle, and the update is done."""
    net = mlp()
    target = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace({"net": net, "target": target, "optimizer": optimizer}):
        for x, y in classes(4):
            optimizer.zero_grad()
            (F.cross_entropy(net(x), y) + 0 * sum(p.sum() for p in target.parameters())).backward()
            optimizer.step()
            state = target.state_dict()
            for name, value in net.state_dict().items():
                state[name].mul_(0.9).add_(value, alpha=0.1)
            target.load_state_dict(state)


def sound_shared_layers(trace: Tracing) -> None:
    """Target and network share an embedding; the rest follows softly."""
    shared = nn.Linear(4, 4)
    net, target = nn.Sequential(shared, nn.Linear(4, 3)), nn.Sequential(shared, nn.Linear(4, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for t, p in zip(target.parameters(), net.parameters(), strict=True):
                    t.lerp_(p, 0.1)


def sound_checkpoints(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    best: dict[str, Tensor] = {}
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            best = {name: one.clone() for name, one in net.state_dict().items()}
            file = io.BytesIO()
            state = net.state_dict()
            torch.save(state, file)
        net.load_state_dict(best)
        file.seek(0)
        net.load_state_dict(torch.load(file))


class Guarded(nn.Module):
    """It has a flag of its own, by that name."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()
        self.requires_grad = True

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(bool(self.requires_grad)):
            found: Tensor = self.inner(x)
            return found


def sound_flags_of_ones_own(trace: Tracing) -> None:
    net = nn.Sequential(Guarded(), nn.ReLU(), nn.Linear(3, 3))
    guarded: Any = net[0]
    guarded.requires_grad = False
    parameters: list[Any] = list(net.parameters())
    for p in parameters:
        p.kept_apart = False
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
