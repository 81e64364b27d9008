"""What the glossary says of several processes is so: a run for each of its entries."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DistributedSampler, TensorDataset

from tests.chapters.claims import stands
from tests.chapters.glossary import of
from tests.chapters.ranks import needs_gloo, told_by_two
from tests.package.running import python

FIVE = TensorDataset(torch.arange(5))
SCRIPT = """\
loss = torch.tensor(1.0 + rank)
mean = loss.detach().clone()
dist.all_reduce(mean)
told["sum"] = mean.item()
mean /= dist.get_world_size()
told["mean"] = mean.item()

mesh = dist.init_device_mesh("cpu", (2,))
sharded = fully_shard(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), mesh=mesh)
optimizer = torch.optim.SGD(sharded.parameters(), lr=0.1)
for line in "forward", "backward", "step":
    with CommDebugMode() as talk:
        if line == "forward":
            out = sharded(torch.ones(2, 4)).sum()
        elif line == "backward":
            out.backward()
        else:
            optimizer.step()
    told[f"talk of {line}"] = [str(operation) for operation in talk.get_comm_counts()]
told["shapes"] = [p.to_local().shape for p in sharded.parameters()]
told["shapes of gradients"] = [p.grad.to_local().shape for p in sharded.parameters()]

plain = nn.Linear(3, 2)
net = DistributedDataParallel(plain)
kept = []
for quiet in True, False:
    with net.no_sync() if quiet else contextlib.nullcontext():
        net(torch.full((1, 3), 1.0 + rank)).sum().backward()
    kept.append(plain.weight.grad[0, 0].item())
told["accumulated"] = kept
told["names"] = list(net.state_dict())
"""
# Each writes who it is; then one fails, and the other would sleep for long.
FAILS = """\
import os, pathlib, sys, time
names = "RANK", "LOCAL_RANK", "WORLD_SIZE"
who = [os.environ[name] for name in names]
pathlib.Path(f"rank {who[0]}").write_text(" ".join(who))
while len([*pathlib.Path().glob("rank *")]) < 2:
    time.sleep(0.01)
if who[0] == "1":
    sys.exit(1)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    return told_by_two(tmp_path_factory.mktemp("glossary"), SCRIPT)


@of("all-reduce")
@needs_gloo
def test_an_all_reduce_leaves_the_sum_on_each(ranks: list[dict[str, Any]]) -> None:
    for told in ranks:
        assert (told["sum"], told["mean"]) == (3, 1.5)


@of("FSDP (fully sharded data parallel)")
@needs_gloo
def test_where_fsdp_talks(ranks: list[dict[str, Any]]) -> None:
    stands(
        "11",
        "the forward fetches the other ranks' parts of the parameters, and `backward` leaves each "
        "rank its part of the mean.",
    )
    for told in ranks:
        assert ["allgather" in name for name in told["talk of forward"]] == [True]
        assert ["reduce_scatter" in name for name in told["talk of backward"]] == [True]
        assert told["talk of step"] == []
        assert told["shapes"] == told["shapes of gradients"] == [[2, 4], [2]]


@of("no_sync")
@needs_gloo
def test_the_next_backward_sends_the_sum_of_all(ranks: list[dict[str, Any]]) -> None:
    stands("11", "the names in DDP's own state dict begin with `module.`")
    assert [told["accumulated"] for told in ranks] == [[1, 3], [2, 3]]
    for told in ranks:
        assert told["names"] == ["module.weight", "module.bias"]


@of("DistributedSampler")
def test_what_is_dealt_twice_or_left_out() -> None:
    def dealt(**options: Any) -> list[list[int]]:
        return [list(DistributedSampler(FIVE, 2, rank, **options)) for rank in range(2)]

    assert dealt(shuffle=False) == [[0, 2, 4], [1, 3, 0]]
    assert dealt(shuffle=False, drop_last=True) == [[0, 2], [1, 3]]
    assert dealt() == dealt(shuffle=True) != dealt(shuffle=False)


@of("torchrun")
def test_torchrun_tells_each_who_it_is_and_ends_all_if_one_fails(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    begin = time.monotonic()
    done = python(tmp_path, *launcher, "fails.py", variables={"TMPDIR": str(tmp_path)})
    assert done.code == 1
    assert time.monotonic() - begin < 100
    told = [(tmp_path / f"rank {rank}").read_text() for rank in range(2)]
    assert told == ["0 0 2", "1 1 2"]
