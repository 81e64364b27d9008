"""Its author believed that `eval()` in the validation holds for the validation only."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.conv(x)))
        out: Tensor = self.fc(self.drop(x.flatten(1)))
        return out


def images() -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(8, 1, 6, 6) * 3 + 1, torch.randint(0, 3, (8,))) for _ in range(3)]


def validate(net: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    net.eval()
    correct = 0
    with torch.no_grad():
        for x, y in batches:
            correct += int((net(x).argmax(1) == y).sum())
    return correct / (8 * len(batches))


def broken(trace: Tracing) -> None:
    batches, net = images(), ConvNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    history = []
    with trace(net, optimizer):
        for _epoch in range(3):
            for x, y in batches:
                optimizer.zero_grad()
                loss = criterion(net(x), y)
                loss.backward()
                optimizer.step()  # <- eval-mode
            history.append(validate(net, batches))


def repaired(trace: Tracing) -> None:
    batches, net = images(), ConvNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    history = []
    with trace(net, optimizer):
        for _epoch in range(3):
            net.train()
            for x, y in batches:
                optimizer.zero_grad()
                loss = criterion(net(x), y)
                loss.backward()
                optimizer.step()
            history.append(validate(net, batches))


def broken_train_once(trace: Tracing) -> None:
    """`train()` stands before the loop over epochs instead of in it."""
    batches, model = images(), ConvNet()
    opt = torch.optim.Adam(model.parameters())
    model.train()
    with trace(model, opt):
        for _ in range(3):
            for data, target in batches:
                opt.zero_grad()
                out = model(data)
                nn.functional.cross_entropy(out, target).backward()
                opt.step()  # <- eval-mode
            model.eval()
            with torch.no_grad():
                accuracy = [(model(d).argmax(1) == t).float().mean().item() for d, t in batches]
            print(f"accuracy {sum(accuracy) / len(accuracy):.2f}")


def repaired_train_once(trace: Tracing) -> None:
    batches, model = images(), ConvNet()
    opt = torch.optim.Adam(model.parameters())
    with trace(model, opt):
        for _ in range(3):
            model.train()
            for data, target in batches:
                opt.zero_grad()
                out = model(data)
                nn.functional.cross_entropy(out, target).backward()
                opt.step()
            model.eval()
            with torch.no_grad():
                accuracy = [(model(d).argmax(1) == t).float().mean().item() for d, t in batches]
            print(f"accuracy {sum(accuracy) / len(accuracy):.2f}")
