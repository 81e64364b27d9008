"""Nothing to blame: frozen parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import Batches, classes, mlp


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.bn(self.conv(x))).mean(dim=(2, 3))
        out: Tensor = self.head(features)
        return out


def images(n: int = 5) -> Batches:
    return [(torch.randn(6, 1, 6, 6), torch.randint(0, 2, (6,))) for _ in range(n)]


def sound_frozen_out_of_the_optimizer(trace: Tracing) -> None:
    batches, net = images(), Backbone()
    for p in [*net.conv.parameters(), *net.bn.parameters()]:
        p.requires_grad = False
    net.eval()
    net.head.train()
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1, momentum=0.9)
    with trace(net, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_frozen_in_the_optimizer(trace: Tracing) -> None:
    """They are in the optimizer with weight decay, and stay: their gradient is None."""
    batches, net = images(), Backbone()
    net.requires_grad_(False)
    net.head.requires_grad_(True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            net.train()
            net.bn.eval()
            for x, y in batches[:3]:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                print([F.cross_entropy(net(x), y).item() for x, y in batches[3:]])


def sound_batchnorm_kept_in_eval(trace: Tracing) -> None:
    """Fine-tuning with the running statistics of before: a habit of detection and segmentation."""
    batches, net = images(), Backbone()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in batches:
            net.train()
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_frozen_features_under_no_grad(trace: Tracing) -> None:
    features = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
    head = nn.Linear(8, 3)
    features.eval()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    with trace(head, features, optimizer):
        for x, y in classes():
            with torch.no_grad():
                h = features(x)
            loss = F.cross_entropy(head(h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_unfrozen_later(trace: Tracing) -> None:
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for epoch in range(4):
            if epoch == 2:
                net[0].requires_grad_(True)
            for x, y in classes(2):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()


def sound_sometimes_unused_branch(trace: Tracing) -> None:
    """Half of the batches take the other branch; their gradients are None, not forgotten."""
    net = nn.ModuleDict({"even": nn.Linear(4, 3), "odd": nn.Linear(4, 3)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes()):
            optimizer.zero_grad()
            logits = net["odd" if i % 2 else "even"](x)
            F.cross_entropy(logits, y).backward()
            optimizer.step()
