"""DistributedDataParallel: two processes on this machine, each with a trace of its own."""

from __future__ import annotations

import contextlib
import datetime
import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from companion import Trace, trace
from tests.package.ranks import in_both

WORLD, SECONDS = 2, 45
KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "views": {"gradient_as_bucket_view": True},
    "forgetful": {"forget": True},
    "forgetful views": {"forget": True, "gradient_as_bucket_view": True},
    "static": {"static_graph": True, "gradient_as_bucket_view": True},
}

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo here"
)


def train(rank: int, *, traced: bool, forget: bool = False, **options: Any) -> Any:
    """Three steps; parameters, gradients, and the trace."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 3))
    net.append(nn.Linear(3, 400))  # a large weight, and small ones
    ddp = DistributedDataParallel(net, **options)
    sgd = torch.optim.SGD(ddp.parameters(), lr=0.05, momentum=0.9)
    torch.manual_seed(rank)  # every process has other data
    with trace(ddp, sgd) if traced else contextlib.nullcontext() as routine:
        for _ in range(3):
            inputs = torch.randn(8, 6)
            if not forget:
                sgd.zero_grad()
            outputs = ddp(inputs)
            loss = outputs.square().mean()
            loss.backward()
            sgd.step()
    return [*ddp.parameters()], [p.grad for p in ddp.parameters()], routine


def work(rank: int, folder: str) -> None:
    """What runs in each process."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=WORLD,
        timeout=datetime.timedelta(seconds=SECONDS),
    )
    same = {}
    for name, options in KINDS.items():
        bare = train(rank, traced=False, **options)
        traced = train(rank, traced=True, **options)
        same[name] = [all(map(torch.equal, bare[i], traced[i])) for i in range(2)]
        cast(Trace, traced[2]).save(f"{folder}/{name}-{rank}.json")
        gradients: list[Tensor] = traced[1]
        same[name].append(all(map(averaged, gradients)))
    Path(f"{folder}/same-{rank}.json").write_text(json.dumps(same))
    distributed.destroy_process_group()


def averaged(gradient: Tensor) -> bool:
    """Whether both processes hold the same."""
    both = [torch.empty_like(gradient) for _ in range(WORLD)]
    distributed.all_gather(both, gradient.contiguous())
    return torch.equal(*both)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the processes have written into; they are started once for all tests."""
    folder = tmp_path_factory.mktemp("processes")
    in_both(work, folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_the_training_is_the_same_and_the_gradients_are_averaged(results: Path, kind: str) -> None:
    for rank in range(WORLD):
        same = json.loads((results / f"same-{rank}.json").read_text())
        assert same[kind] == [True, True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_each_line_in_each_process(results: Path, kind: str) -> None:
    for rank in range(WORLD):
        routine = Trace.load(results / f"{kind}-{rank}.json")
        names = tuple(routine.records[0].after.parameters)
        assert names[:2] == ("module.0.weight", "module.0.bias")
        assert len(names) == 6
        rows = [
            (r.step, r.source, len(r.changed_gradients), len(r.changed_parameters))
            for r in routine.records
            if r.changed_gradients or r.changed_parameters
        ]
        wanted: list[tuple[int, str, int, int]] = []
        for step in range(3):
            if step and "forget" not in kind:
                wanted.append((step, "sgd.zero_grad()", 6, 0))
            wanted += [(step, "loss.backward()", 6, 0), (step, "sgd.step()", 0, 6)]
        assert rows == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_both_processes_read_the_same(results: Path, kind: str) -> None:
    """Not so the outputs: each has its own data."""
    one, two = (Trace.load(results / f"{kind}-{rank}.json") for rank in range(WORLD))
    assert len(one.records) == len(two.records)
    for a, b in zip(one.records, two.records, strict=True):
        assert a.after.gradients == b.after.gradients
        assert a.after.parameters == b.after.parameters


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_zero_grad_is_found(results: Path, kind: str) -> None:
    routine = Trace.load(results / f"{kind}-0.json")
    found = [finding.rule for finding in routine.diagnose()]
    assert ("accumulates" in found) == ("forget" in kind)
