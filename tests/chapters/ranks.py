"""Two real processes that collect what torch does between them, for tests to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch import distributed

from tests.package.command.launched import launch

needs_gloo = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo here"
)
START = """\
import contextlib
import datetime
import json
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.debug import CommDebugMode
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=30))
rank, told = dist.get_rank(), {}
torch.manual_seed(0)
"""
END = "print(json.dumps(told))\n"


def told_by_two(folder: Path, script: str) -> list[dict[str, Any]]:
    """What each rank has put into `told` when it has run these lines."""
    (ran,) = launch(folder, {"two": START + script + END}, "--no-guard").values()
    assert ran.codes == [0, 0], ran.report
    return [json.loads(out) for out in ran.out]
