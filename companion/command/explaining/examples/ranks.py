"""Several processes of one training."""

from __future__ import annotations

from companion.command.explaining.example import Example

# Every example of two processes begins so; `torchrun --nproc-per-node 2` starts it.
SETUP = """\
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

dist.init_process_group("gloo")
torch.manual_seed(0)
data = TensorDataset(torch.randn(64, 4), torch.randint(3, (64,)))
loader = DataLoader(data, batch_size=8, sampler=DistributedSampler(data))
criterion = nn.CrossEntropyLoss()

"""

EXAMPLES = {
    "not-synchronised": Example(
        """\
net = DistributedDataParallel(nn.Linear(4, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, labels in loader:
    optimizer.zero_grad()
    loss = criterion(net.module(inputs), labels)  # <-
    loss.backward()
    optimizer.step()
""",
        {"net.module(inputs)": "net(inputs)"},
        SETUP,
    ),
    "ranks-differ": Example(
        """\
torch.manual_seed(dist.get_rank())
net = nn.Linear(4, 3)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, labels in loader:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    for p in net.parameters():
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()
    optimizer.step()  # <-
""",
        {
            "net = nn.Linear(4, 3)\n": "net = nn.Linear(4, 3)\n"
            "for p in net.parameters():\n    dist.broadcast(p.data, 0)\n"
        },
        SETUP,
    ),
    "same-data": Example(
        """\
loader = DataLoader(data, batch_size=8, shuffle=True)
net = DistributedDataParallel(nn.Linear(4, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, labels in loader:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()  # <-
    optimizer.step()
""",
        {"shuffle=True": "sampler=DistributedSampler(data)"},
        SETUP,
        (
            Example(
                """\
net = DistributedDataParallel(nn.Linear(4, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(3):
    for inputs, labels in loader:  # <-
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
""",
                {
                    "for epoch in range(3):\n": "for epoch in range(3):\n"
                    "    loader.sampler.set_epoch(epoch)\n"
                },
                SETUP,
            ),
        ),
    ),
}
