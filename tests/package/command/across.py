"""Scripts of two processes: broken ones, and those that look alike and are sound."""

from __future__ import annotations

import textwrap

START = """\
import contextlib
import os
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
data = TensorDataset(torch.randn(64, 4), torch.randint(3, (64,)))
loader = DataLoader(data, 8, sampler=DistributedSampler(data))
"""
WRAPPED = "model = DDP(net)\nsgd = torch.optim.SGD(model.parameters(), lr=0.1)\n"
LOOP = """\
for x, y in loader:
    sgd.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    sgd.step()
"""
BY_HAND = """\
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in loader:
    sgd.zero_grad()
    loss = cross_entropy(net(x), y)
    loss.backward()
    for p in net.parameters():
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()
    sgd.step()
"""
NO_SYNC = """\
for x, y in loader:
    sgd.zero_grad()
    with model.no_sync():
        loss = cross_entropy(model(x), y)
        loss.backward()
    sgd.step()
"""
# Each process steps alone; after so many steps their parameters are averaged.
ALONE = """\
for i, (x, y) in enumerate(loader, 1):
    sgd.zero_grad()
    loss = cross_entropy(model.module(x), y)
    loss.backward()
    sgd.step()
"""
AVERAGED = """\
    if i % 2 == 0:
        for p in model.parameters():
            dist.all_reduce(p.data)
            p.data /= dist.get_world_size()
"""
AVERAGER = """\
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
averager = PeriodicModelAverager(period=2, warmup_steps=0)
"""
SHARDED = """\
from torch.distributed.fsdp import fully_shard
mesh = torch.distributed.init_device_mesh("cpu", (dist.get_world_size(),))
model = fully_shard(net, mesh=mesh)
sgd = torch.optim.SGD(model.parameters(), lr=0.1)
"""

# The script after START, and the rule that speaks on the line that ends with `# <-`.
BROKEN = {
    "around it": (
        WRAPPED + LOOP.replace("model(x), y)", "model.module(x), y)  # <-"),
        "not-synchronised",
    ),
    "around it by another name": (
        WRAPPED + LOOP.replace("model(x), y)", "net(x), y)  # <-"),
        "not-synchronised",
    ),
    "never synchronised": (
        WRAPPED + NO_SYNC.replace("model(x), y)", "model(x), y)  # <-"),
        "(not-synchronised)",
    ),
    "averaged later, perhaps": (
        WRAPPED + ALONE.replace("(x), y)", "(x), y)  # <-") + AVERAGED.replace("i % 2", "i % 100"),
        "(not-synchronised)",
    ),
    "its loss is averaged": (
        WRAPPED
        + ALONE.replace("(x), y)", "(x), y)  # <-")
        + "    seen = loss.detach().clone()\n    dist.all_reduce(seen)\n",
        "not-synchronised",
    ),
    "other seeds": (
        "torch.manual_seed(rank)\nnet[0].reset_parameters()\n"
        + BY_HAND.replace("sgd.step()", "sgd.step()  # <-"),
        "ranks-differ",
    ),
    "loaded by one": (
        WRAPPED + "doubled = {name: 2 * value for name, value in net.state_dict().items()}\n"
        "if rank == 0:\n    net.load_state_dict(doubled)\n"
        + LOOP.replace("sgd.step()", "sgd.step()  # <-"),
        "ranks-differ",
    ),
    "no sampler": (
        "loader = DataLoader(data, 8, shuffle=True)\n"
        + WRAPPED
        + LOOP.replace("loss.backward()", "loss.backward()  # <-"),
        "(same-data)",
    ),
    "no set_epoch": (
        "loader = DataLoader(data, 32, sampler=DistributedSampler(data))\n"
        + WRAPPED
        + "for epoch in range(3):\n"
        + textwrap.indent(LOOP.replace("loader:", "loader:  # <-"), "    "),
        "(same-data)",
    ),
    "shards of the same": (
        "loader = DataLoader(data, 8)\n"
        + SHARDED
        + LOOP.replace("loss.backward()", "loss.backward()  # <-"),
        "(same-data)",
    ),
}

SOUND = {
    "as it should be": WRAPPED + LOOP,
    "told of each epoch": "sampler = DistributedSampler(data)\n"
    "loader = DataLoader(data, 32, sampler=sampler)\n" + WRAPPED + "for epoch in range(3):\n"
    "    sampler.set_epoch(epoch)\n" + textwrap.indent(LOOP, "    "),
    "accumulated": WRAPPED
    + """
for i, (x, y) in enumerate(loader):
    last = i % 2 == 1
    with contextlib.nullcontext() if last else model.no_sync():
        (cross_entropy(model(x), y) / 2).backward()
    if last:
        sgd.step()
        sgd.zero_grad()
""",
    # The forward has told it to synchronise, and so it does: at a cost, and in vain.
    "no_sync around backward alone": WRAPPED
    + """
for x, y in loader:
    sgd.zero_grad()
    loss = cross_entropy(model(x), y)
    with model.no_sync():
        loss.backward()
    sgd.step()
""",
    "evaluated around it": WRAPPED
    + LOOP
    + "    with torch.no_grad():\n        print(model.module(x).sum() != 0)\n",
    "averaged around it": WRAPPED + BY_HAND.replace("net(x)", "model.module(x)").partition("\n")[2],
    "its parameters are averaged": WRAPPED + ALONE + AVERAGED,
    "its parameters are averaged, without sync": WRAPPED
    + NO_SYNC.replace("x, y in loader", "i, (x, y) in enumerate(loader, 1)")
    + AVERAGED,
    "an averager": AVERAGER
    + WRAPPED
    + ALONE
    + "    averager.average_parameters(model.parameters())\n",
    "an optimizer that averages": AVERAGER
    + "from torch.distributed.optim import PostLocalSGDOptimizer\n"
    + WRAPPED
    + "sgd = PostLocalSGDOptimizer(sgd, averager)\n"
    + ALONE,
    "batches of two sizes": "loader = DataLoader(data, 4 + 4 * rank, shuffle=True)\n"
    "torch.manual_seed(rank)\n"
    + WRAPPED
    + "for (x, y), _ in zip(loader, range(5)):\n"
    + LOOP.partition("\n")[2],
    "by hand": BY_HAND,
    "each its own": "torch.manual_seed(rank)\nnet[0].reset_parameters()\n"
    "loader = DataLoader(data, 8)\nmodel = net\nsgd = torch.optim.SGD(net.parameters(), lr=0.1)\n"
    + LOOP,
    "a pipeline": """
half = nn.Linear(4, 16) if rank == 0 else nn.Linear(16, 3)
sgd = torch.optim.SGD(half.parameters(), lr=0.1)
for x, y in DataLoader(data, 8):
    sgd.zero_grad()
    if rank == 0:
        hidden = half(x)
        dist.send(hidden.detach(), 1)
        slope = torch.empty_like(hidden)
        dist.recv(slope, 1)
        hidden.backward(slope)
    else:
        hidden = torch.empty(8, 16, requires_grad=True)
        with torch.no_grad():
            dist.recv(hidden, 0)
        loss = cross_entropy(half(hidden), y)
        loss.backward()
        dist.send(hidden.grad, 0)
    sgd.step()
""",
    "two networks": """
G, D = DDP(nn.Linear(2, 4)), DDP(nn.Linear(4, 1))
opt_g, opt_d = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
softplus = nn.functional.softplus
torch.manual_seed(rank)
for x, _ in loader:
    fake = G(torch.randn(8, 2))
    opt_d.zero_grad()
    loss_d = softplus(-D(torch.cat([x, fake.detach()]))).mean()
    loss_d.backward()
    opt_d.step()
    opt_g.zero_grad()
    loss_g = softplus(-D.module(fake)).mean()
    loss_g.backward()
    opt_g.step()
""",
    "a hook of its own": WRAPPED
    + """
def hook(state, bucket):
    done = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done
model.register_comm_hook(None, hook)
"""
    + LOOP,
    "shards": SHARDED + LOOP,
    "one logs": WRAPPED + LOOP + "    if rank == 0:\n        print('loss', loss.item())\n",
}
