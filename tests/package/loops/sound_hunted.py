"""Nothing to blame: what was found in sound scripts that nobody had thought of."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3)
    )


def sound_labels_made_up_in_train_mode(trace: Tracing) -> None:
    """As in MixMatch: after the step of the batch before, and for the loss of this one."""
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            with torch.no_grad():
                guessed = net(x + 0.1)
                target = guessed.softmax(1)
            outputs = net(torch.cat([x, x + 0.2]))
            first, second = outputs.chunk(2)
            loss = F.cross_entropy(first, y) + F.cross_entropy(second, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_statistics_made_anew(trace: Tracing) -> None:
    """By hand what `torch.optim.swa_utils.update_bn` does."""
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm1d)
    batches = classes(2)
    with trace(net, optimizer):
        for _ in range(3):
            net.train()
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            norm.reset_running_stats()
            norm.momentum = None
            with torch.no_grad():
                for x, _ in batches:
                    net(x)
            norm.momentum = 0.1


def sound_gradients_of_each_loss_taken(trace: Tracing) -> None:
    """As in PCGrad: they are put together, and laid down for the step."""
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    parameters = list(net.parameters())
    with trace(net, optimizer):
        for x, y in classes(4):
            outputs = net(x)
            losses = [F.cross_entropy(outputs, y), outputs.square().mean()]
            taken = []
            for loss in losses:
                optimizer.zero_grad()
                loss.backward(retain_graph=True)
                taken.append(
                    torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
                )
            whole = torch.stack(taken).sum(0)
            for p in parameters:
                p.grad = whole[: p.numel()].view_as(p).clone()
                whole = whole[p.numel() :]
            optimizer.step()


def sound_schedule_brought_forward(trace: Tracing) -> None:
    """A training that goes on after its first epoch."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    start = 1
    with trace(net, optimizer):
        for _ in range(start):
            scheduler.step()
        criterion = nn.CrossEntropyLoss()
        for _ in range(start, 3):
            for x, y in classes(2):
                loss = criterion(net(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            scheduler.step()


class Conditional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Linear(4, 16)
        self.condition = nn.Sequential(nn.Linear(6, 16, bias=False), nn.ReLU(), nn.Linear(16, 16))
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        result: Tensor = self.head(F.silu(self.x(x) + self.condition(condition)))
        return result


def sound_condition_that_is_left_out_at_first(trace: Tracing) -> None:
    """The layer that takes it is given zeros, and is not dead for that."""
    net = Conditional()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes(5):
            loss = F.cross_entropy(net(x, torch.zeros(len(x), 6)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Warming(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 16), nn.ReLU())
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor, warmup: bool = False) -> Tensor:
        features = self.backbone(x)
        if warmup:
            features = features.detach()
        result: Tensor = self.head(features)
        return result


def sound_head_that_warms_up(trace: Tracing) -> None:
    """For a while the backbone stands still, though the optimizer holds it."""
    net = Warming()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(4)):
            loss = F.cross_entropy(net(x, warmup=i < 8), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
