"""What *Two processes* says of torch without a cell that shows it, as in test_claims.py."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DistributedSampler, TensorDataset

from tests.chapters.claims import Claims, Run, prose, stands
from tests.chapters.ranks import needs_gloo, told_by_two
from tests.chapters.symptoms import alone

CLAIMS = Claims()
said = CLAIMS.said
SCRIPT = """\
def net_of_two():
    return DistributedDataParallel(nn.Linear(2, 2))


def counts(seen):
    return {str(op).split(".")[-1]: n for op, n in seen.get_comm_counts().items() if n}


def logged(state, bucket):
    log.append(f"bucket {bucket.index()}")
    return allreduce_hook(None, bucket)


layers = nn.Sequential(*[nn.Linear(64, 64) for _ in range(4)])
net, log = DistributedDataParallel(layers, bucket_cap_mb=0.01), []
net.register_comm_hook(None, logged)
for number, layer in enumerate(layers):
    layer.register_full_backward_hook(lambda *_, n=number: log.append(f"layer {n}"))
for _ in range(2):  # the first backward finds out the order
    log.clear()
    net(torch.randn(3, 64, requires_grad=True)).sum().backward()
    told["first order"] = told.get("first order", list(log))
told["order"] = list(log)
told["bytes"] = dist._DEFAULT_FIRST_BUCKET_BYTES, net_of_two().bucket_bytes_cap

with CommDebugMode() as seen:
    net = net_of_two()
told["built"] = counts(seen)
told["forwards"], told["backwards"] = [], []
for _ in range(3):
    with CommDebugMode() as seen:
        out = net(torch.ones(3, 2))
    told["forwards"].append(counts(seen))
    with CommDebugMode() as seen:
        out.sum().backward()
    told["backwards"].append(counts(seen))

net = net_of_two()
net(torch.full((3, 2), rank + 1.0)).sum().backward()
mean, told["twice"] = net.module.weight.grad.clone(), []
for talk in True, False:
    again = mean.clone()
    if talk:
        dist.all_reduce(again)
    again /= 2
    told["twice"].append(torch.equal(again, mean))

norm = nn.BatchNorm1d(2)
net = DistributedDataParallel(norm).eval()
norm.running_mean.fill_(rank)
with torch.no_grad():
    net.module(torch.ones(3, 2))
    told["mean of its own"] = norm.running_mean[0].item()
    net(torch.ones(3, 2))
    told["mean after a forward"] = norm.running_mean[0].item()

loss = torch.tensor(1.0 + rank)
mean = loss.detach().clone()
dist.all_reduce(mean)
mean /= dist.get_world_size()
told["mean"] = mean.item()

dist.barrier()
group = dist.new_group(timeout=datetime.timedelta(seconds=1))
begin, told["missed"] = time.monotonic(), ""
if rank == 1:
    net = DistributedDataParallel(nn.Linear(3, 2), process_group=group, init_sync=False)
    try:
        net(torch.ones(1, 3)).sum().backward()
    except RuntimeError:
        told["missed"] = time.monotonic() - begin
else:
    time.sleep(2)
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    return told_by_two(tmp_path_factory.mktemp("claims"), SCRIPT)


@needs_gloo
def test_buckets_are_sent_while_backward_is_at_work(ranks: list[dict[str, Any]]) -> None:
    stands(
        "11",
        "collects their gradients in buckets, a first one of about 1 MB, then up to 25 MB. All of "
        "this network fits into one. In a larger one, from the second step on, the first bucket "
        "is sent while `backward` is still at work on the layers nearer the input.",
    )
    for told in ranks:
        assert told["order"].index("bucket 0") < told["order"].index("layer 0")
        assert told["first order"][:3] == ["layer 3", "layer 2", "layer 1"]  # all in one bucket
        assert told["bytes"] == [2**20, 25 * 2**20]


@needs_gloo
def test_who_talks(ranks: list[dict[str, Any]]) -> None:
    stands(
        "11",
        "In this step only `loss.backward()` talks to the other process. (The second forward does "
        "so once: DDP then orders its buckets anew, and rank 0 tells the others how.)",
        "When it is built, DDP compares the shapes, and rank 0 sends its parameters to all.",
        "it sends buffers, and in the second step the order of the buckets.",
    )
    for told in ranks:
        assert [*told["built"]] == ["allgather_", "broadcast_"]
        assert [[*one] for one in told["forwards"]] == [[], ["broadcast_"], []]
        assert told["backwards"] == [{"allreduce_": 1}] * 3


@needs_gloo
def test_what_a_mean_by_hand_does_below_ddp(ranks: list[dict[str, Any]]) -> None:
    stands("11", "The first still prints True, the second False.")
    assert [told["twice"] for told in ranks] == [[True, False]] * 2


@needs_gloo
def test_a_forward_through_ddp_sends_buffers(ranks: list[dict[str, Any]]) -> None:
    stands("11", "A forward through DDP would send the")
    assert [told["mean of its own"] for told in ranks] == [0, 1]
    assert [told["mean after a forward"] for told in ranks] == [0, 0]


@needs_gloo
def test_one_that_does_not_come_is_waited_for(ranks: list[dict[str, Any]]) -> None:
    stands(
        "11",
        "the rank that has one more would wait in `backward` for a gradient that nobody sends.",
    )
    assert ranks[0]["missed"] == ""
    assert ranks[1]["missed"] >= 1


@needs_gloo
def test_the_loss_of_all(ranks: list[dict[str, Any]]) -> None:
    stands(
        "11", "mean = loss.detach().clone() dist.all_reduce(mean)", "mean /= dist.get_world_size()"
    )
    assert [told["mean"] for told in ranks] == [1.5, 1.5]


@said("11", "lets the ranks share them. It needs GPUs.")
def sync_batch_norm_needs_gpus() -> None:
    net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(2)))
    with alone(), pytest.raises(ValueError, match="expected input tensor to be on"):
        net(torch.ones(3, 2))


@said("11", "plus the number of the epoch, which it does not count itself.")
def what_a_sampler_is_seeded_by() -> None:
    nine = TensorDataset(torch.arange(9))
    sampler: DistributedSampler[Any] = DistributedSampler(nine, 1, 0, seed=3)
    assert list(sampler) == list(sampler)
    sampler.set_epoch(4)
    generator = torch.Generator().manual_seed(7)
    assert list(sampler) == torch.randperm(9, generator=generator).tolist()


@said("11", "On two such machines the same command runs on each")
def the_commands_are_torchruns_own() -> None:
    from torch.distributed.run import get_args_parser

    text = prose("11")
    commands = re.findall(r"```sh (torchrun .*?) ```", text)
    assert len(commands) == 2
    for command in commands:
        words = shlex.split(command.replace("\\ ", ""))[1:]
        asked = get_args_parser().parse_args(words)
        assert (asked.module, asked.training_script) == (True, "companion")
        assert asked.training_script_args == ["train.py"]
    assert (asked.nnodes, asked.nproc_per_node) == ("2", "8")
    assert asked.rdzv_endpoint == "node0:29500"


@CLAIMS.each()
def test_it_is_so(run: Run) -> None:
    CLAIMS.hold(run)
