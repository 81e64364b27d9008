"""`python benchmarks/ranks.py` times a script in 1, 2 and 4 processes, alone and watched.

It writes ranks.md: the processors' time from the launch to the end, and what the ranks write for
each other. Each is run several times, alone and watched in turn; the least counts. Other work on
the machine hardly changes that, while the time on the clock would double.
"""

from __future__ import annotations

import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROUNDS, STEPS = 2, 300
SIZES = (1, 2, 4)
SCRIPT = """\
import os, time
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())
layers = [nn.Sequential(nn.Linear(128, 128), nn.ReLU()) for _ in range(20)]
net = DistributedDataParallel(nn.Sequential(*layers))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
began = time.process_time()
for step in range(STEPS):
    if step == 50:
        began = time.process_time()
    optimizer.zero_grad()
    loss = net(torch.randn(16, 128)).square().mean()
    loss.backward()
    optimizer.step()
if dist.get_rank() == 0:
    print((time.process_time() - began) / (STEPS - 50) * 1000)
    there = os.environ["TMPDIR"]
    files = [os.path.join(at, name) for at, _, names in os.walk(there) for name in names]
    files = [one for one in files if one.endswith((".here", ".seen"))]
    print(len(files), sum(map(os.path.getsize, files)))
dist.destroy_process_group()
"""


def run(folder: Path, size: int, *watched: str) -> tuple[float, float, int, int]:
    """Seconds in all, milliseconds a step after the watched ones, files and bytes left by then."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = _spent()
    command = ["-m", "torch.distributed.run", f"--nproc-per-node={size}", f"--master-port={port}"]
    done = subprocess.run(
        [sys.executable, *command, *watched, "train.py"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    whole = _spent() - began
    step, files, size_of_all = done.stdout.split()
    return whole, float(step), int(files), int(size_of_all)


def _spent() -> float:
    """Seconds that processors have worked for what this process has started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows() -> list[str]:
    """A row for each number of processes."""
    found = []
    for size in SIZES:
        alone, ours = [], []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "train.py").write_text(SCRIPT.replace("STEPS", str(STEPS)))
                alone.append(run(Path(folder), size))
                ours.append(run(Path(folder), size, "-m", "companion"))
        first, other = (min(one[0] for one in runs) for runs in (alone, ours))
        step, later = (min(one[1] for one in runs) for runs in (alone, ours))
        _, _, files, total = ours[-1]
        found.append(
            f"| {size} | {first:.1f} s | {other:.1f} s | {step:.2f} ms | {later:.2f} ms "
            f"| {files} | {total / size / 1000:.1f} kB |"
        )
        print(found[-1], flush=True)
    return found


PAGE = """\
# Several processes: what it costs

Written by `python benchmarks/ranks.py` with Python {python} and PyTorch {torch}, on {cores} cores \
that other work shared. A network of 20 linear layers, 40 parameters, in DistributedDataParallel \
over gloo, {steps} steps, started by `torchrun`; the least of {rounds} runs, alone and with \
`-m companion` in turn. The times are the processors': of all processes together, from the launch \
to the end, and of a step in rank 0. A step is timed after the first 50: by then no line is \
watched. One process meets nobody, and leaves nothing.

| processes | alone | watched | a step, alone | a step, watched | files | bytes a rank |
|---|---|---|---|---|---|---|
{rows}

## A thousand ranks

Each rank writes three small files, whatever the number of ranks: `here` when it starts (some 50 \
bytes), `seen` after the watched steps, and `over` at its end. The last two hold the same kind of \
numbers: of each of at most 512 parameters four (sum and norm, before and after), of at most 8 \
steps the losses, the gradient norms and a digest of at most 64 rows, at most 20 findings and 20 \
sentences of each kind. That is {bound} kB for a network of 512 parameters or more, without \
findings. No rank reads a file of another but the one that reports; one that ends asks for three \
files by name.

The one that reports reads what is on its own machine: with 8 ranks there, 8 files of `seen` after \
its watched steps and 8 of `over` at its end, however many machines there are. With \
`COMPANION_MEETING` on a disk that all share, it reads those of all: of 1000 ranks 1000 files, \
{megabytes:.0f} MB, once, at its end: above 64 ranks it reads none while it trains. Up to 64 it \
looks ten times a second whether all have come, a question to the disk for each rank, and stops \
after 10 seconds.
"""


def largest() -> int:
    """The bytes of the largest file that a rank can write of a network without findings."""
    import json

    from companion.diagnosis.ranks.summary import MOST_PARAMETERS, MOST_STEPS, At, Inputs, Summary

    pair = (-1234.5678901234567, 1234.5678901234567)
    at = At("a/rather/long/path/of/a/script/train.py", 100, "loss.backward()", pair, pair)
    rows = Inputs(("-1234.567891 12345.67891",) * 64)
    whole = Summary(
        999, "DistributedDataParallel", "0" * 16, "0" * 16, 100, 3, (1.2345678901234567,) * 8, 17,
        (at,) * MOST_STEPS, (at,) * MOST_STEPS, 8, at, at, (pair,) * MOST_PARAMETERS,
        (pair,) * MOST_PARAMETERS, (rows,) * MOST_STEPS, MOST_PARAMETERS, 0, "0" * 16,
        moved=(pair,) * 2 * MOST_STEPS,
    )  # fmt: skip
    return len(json.dumps(whole.to_dict()))


if __name__ == "__main__":
    page = PAGE.format(
        python=platform.python_version(),
        torch=torch.__version__.partition("+")[0],
        cores=os.cpu_count(),
        steps=STEPS,
        rounds=ROUNDS,
        rows="\n".join(rows()),
        bound=round(largest() / 1000),
        megabytes=largest() / 1000,
    )
    Path(__file__).with_suffix(".md").write_text(page, encoding="utf-8")
