# mypy: ignore-errors
"""DistributedDataParallel on the CPU: `real_11_distributed.py [number of processes]`."""

import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP  # noqa: N817
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def setup(rank, world_size, path):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=world_size)


def make_dataset():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(128, 5, generator=g)
    return TensorDataset(x, (x.sum(dim=1) > 0).long())


def worker(rank, world_size, path):
    setup(rank, world_size, path)
    torch.manual_seed(0)
    dataset = make_dataset()
    sampler = DistributedSampler(dataset, num_replicas=world_size, rank=rank, seed=0)
    loader = DataLoader(dataset, batch_size=16, sampler=sampler)

    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
    ddp_model = DDP(model)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(ddp_model.parameters(), lr=0.2)

    for epoch in range(3):
        sampler.set_epoch(epoch)
        epoch_loss = torch.zeros(2)
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_fn(ddp_model(x), y)
            loss.backward()
            optimizer.step()
            epoch_loss += torch.tensor([loss.item(), 1.0])
        dist.all_reduce(epoch_loss)
        if rank == 0:
            print(f"epoch {epoch} loss {(epoch_loss[0] / epoch_loss[1]).item():.4f}", flush=True)

    dist.barrier()
    dist.destroy_process_group()


def main():
    world_size = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rendezvous")
        if world_size == 1:
            worker(0, 1, path)
        else:
            mp.spawn(worker, args=(world_size, path), nprocs=world_size, join=True)


if __name__ == "__main__":
    main()
