"""Its author believed that an optimizer follows the model, whatever becomes of it."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


class SmallNet(nn.Module):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.features(x).flatten(1))
        return out


def broken(trace: Tracing) -> None:
    images, labels = torch.randn(8, 1, 8, 8), torch.randint(0, 2, (8,))
    model = SmallNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    model.fc = nn.Linear(16, 2)  # two classes are enough for us

    with trace(model, optimizer):
        for _epoch in range(4):
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()  # <- other-parameters


def repaired(trace: Tracing) -> None:
    images, labels = torch.randn(8, 1, 8, 8), torch.randint(0, 2, (8,))
    model = SmallNet()
    model.fc = nn.Linear(16, 2)  # two classes are enough for us
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss()

    with trace(model, optimizer):
        for _epoch in range(4):
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()


def broken_own_init(trace: Tracing) -> None:
    """A new Parameter takes the place of the one that the optimizer holds."""
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    for layer in net:
        if isinstance(layer, nn.Linear):
            layer.weight = nn.Parameter(torch.randn_like(layer.weight) * 0.1)
    with trace(net, opt):
        for _ in range(5):
            loss = nn.functional.mse_loss(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()  # <- other-parameters


def repaired_own_init(trace: Tracing) -> None:
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.1)
    with trace(net, opt):
        for _ in range(5):
            loss = nn.functional.mse_loss(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()


def broken_script(trace: Tracing) -> None:
    """Built anew for every fold; the optimizer was made before. Traced without it."""
    x, y = torch.randn(24, 4), torch.randint(0, 3, (24,))
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for fold in range(2):
        model = nn.Linear(4, 3)
        mask = torch.arange(24) % 2 != fold
        with trace(model):
            for _ in range(4):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x[mask]), y[mask])
                loss.backward()
                optimizer.step()  # <- other-parameters


def repaired_script(trace: Tracing) -> None:
    x, y = torch.randn(24, 4), torch.randint(0, 3, (24,))
    for fold in range(2):
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        mask = torch.arange(24) % 2 != fold
        with trace(model):
            for _ in range(4):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x[mask]), y[mask])
                loss.backward()
                optimizer.step()
