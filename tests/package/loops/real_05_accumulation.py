# mypy: ignore-errors
"""Gradient accumulation with a real DataLoader and two workers."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

ACCUMULATE = 4
BATCH = 8


class Spirals(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        label = i % 2
        t = 3 * i / self.n
        angle = 2 * t + math.pi * label
        return torch.tensor([t * math.cos(angle), t * math.sin(angle)]), torch.tensor(label)


def main():
    torch.manual_seed(7)
    loader = DataLoader(
        Spirals(240), batch_size=BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )
    net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    opt = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    crit = nn.CrossEntropyLoss()

    for epoch in range(3):
        opt.zero_grad()
        total = 0.0
        for i, (x, y) in enumerate(loader):
            loss = crit(net(x), y)
            total += loss.item()
            # the last group of an epoch is smaller
            left = min(ACCUMULATE, len(loader) - (i // ACCUMULATE) * ACCUMULATE)
            (loss / left).backward()
            if (i + 1) % ACCUMULATE == 0 or (i + 1) == len(loader):
                opt.step()
                opt.zero_grad()
        print("epoch", epoch, "loss", round(total / len(loader), 4))


if __name__ == "__main__":
    main()
