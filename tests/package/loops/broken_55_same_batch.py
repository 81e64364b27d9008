"""Its author believed that `next(iter(loader))` goes on where it stood."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tests.package.loops import Tracing
from tests.package.loops.parts import mlp

Pair = tuple[Tensor, Tensor]


def rows() -> TensorDataset:
    return TensorDataset(torch.randn(48, 4), torch.randint(3, (48,)))


def broken(trace: Tracing) -> None:
    net, loader = mlp(), DataLoader(rows(), batch_size=8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(4):
            x, y = next(iter(loader))  # <- same-batch
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net, loader = mlp(), DataLoader(rows(), batch_size=8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        batches = iter(loader)
        for _ in range(4):
            x, y = next(batches)
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


class Records(Dataset[dict[str, Tensor]]):
    """A data set of the user's own: what is left of it, only torch's sampler knows."""

    def __init__(self) -> None:
        self.inputs, self.labels = torch.randn(30, 4), torch.randint(3, (30,))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"inputs": self.inputs[i], "labels": self.labels[i]}


def broken_records(trace: Tracing) -> None:
    """The iterator is made on a line of its own, and the training ends as each epoch begins."""
    model = mlp()
    train_loader = DataLoader(Records(), batch_size=6, drop_last=True)
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    with trace(model, opt):
        for _ in range(4):
            batches = iter(train_loader)
            batch = next(batches)  # <- same-batch
            logits = model(batch["inputs"])
            loss = F.cross_entropy(logits, batch["labels"])
            opt.zero_grad()
            loss.backward()
            opt.step()


def repaired_records(trace: Tracing) -> None:
    model = mlp()
    train_loader = DataLoader(Records(), batch_size=6, drop_last=True)
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    with trace(model, opt):
        for batch in train_loader:
            logits = model(batch["inputs"])
            loss = F.cross_entropy(logits, batch["labels"])
            opt.zero_grad()
            loss.backward()
            opt.step()


def broken_real_rows(trace: Tracing) -> None:
    """The discriminator sees the same eight real rows for ever."""
    gen, disc = nn.Linear(2, 4), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    opt_g = torch.optim.Adam(gen.parameters(), lr=1e-3)
    opt_d = torch.optim.Adam(disc.parameters(), lr=1e-3)
    loader = DataLoader(rows(), batch_size=8)
    with trace(gen, disc, opt_g, opt_d):
        for _ in range(4):
            real, _labels = next(iter(loader))  # <- same-batch
            fake = gen(torch.randn(8, 2))
            opt_d.zero_grad()
            loss_d = F.softplus(-disc(real)).mean() + F.softplus(disc(fake.detach())).mean()
            loss_d.backward()
            opt_d.step()
            opt_g.zero_grad()
            F.softplus(-disc(fake)).mean().backward()
            opt_g.step()


def repaired_real_rows(trace: Tracing) -> None:
    gen, disc = nn.Linear(2, 4), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    opt_g = torch.optim.Adam(gen.parameters(), lr=1e-3)
    opt_d = torch.optim.Adam(disc.parameters(), lr=1e-3)
    loader = DataLoader(rows(), batch_size=8, shuffle=True)
    with trace(gen, disc, opt_g, opt_d):
        for _ in range(4):
            real, _labels = next(iter(loader))
            fake = gen(torch.randn(8, 2))
            opt_d.zero_grad()
            loss_d = F.softplus(-disc(real)).mean() + F.softplus(disc(fake.detach())).mean()
            loss_d.backward()
            opt_d.step()
            opt_g.zero_grad()
            F.softplus(-disc(fake)).mean().backward()
            opt_g.step()
