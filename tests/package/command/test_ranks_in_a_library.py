"""Several processes whose loop stands in a library, and ranks that a script starts itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch import distributed

from tests.package.command.across import START
from tests.package.command.launched import Launched, launch
from tests.package.command.library import TINY
from tests.package.command.running import LOOP, SETUP, Start
from tests.package.running import write

HEAD = (
    "import os, sys\nsys.path.insert(0, os.path.join(os.getcwd(), '..', 'site-packages'))\n"
    f"from tiny.trainer import Through, Trainer\n{START}"
)
LIT = """\
class Lit(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.seen = net, []
    def forward(self, x):
        return self.net(x)
    def loss(self, x, y):
        loss = nn.functional.mse_loss(self.net(x).mean(1), y.float())
        self.seen.append(loss)
        return loss
lit = Lit()
sgd = torch.optim.SGD(lit.parameters(), lr=0.1)
"""
SCRIPTS = {
    "sent through": LIT + "Through(lit, sgd, DDP(lit)).fit(loader)\n",
    "its own loss": "sgd = torch.optim.SGD(net.parameters(), lr=0.1)\nwrapped = DDP(net)\n"
    "data = [(x, torch.randn(8, 3)) for x, _ in loader]\nTrainer(wrapped, sgd).fit(data)\n",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Launched]:
    if not (distributed.is_available() and distributed.is_gloo_available()):
        pytest.skip("no gloo here")
    folder = tmp_path_factory.mktemp("ranks")
    write(folder, "", "site-packages/tiny/__init__.py")
    write(folder, TINY, "site-packages/tiny/trainer.py")
    end = "dist.destroy_process_group()\n"
    return launch(folder, {name: HEAD + text + end for name, text in SCRIPTS.items()})


@pytest.mark.parametrize("name", SCRIPTS)
def test_losses_by_rank(ran: dict[str, Launched], name: str) -> None:
    one = ran[name]
    assert one.codes == [0, 0], one.report
    inside = " inside tiny.Trainer.fit()"
    assert one.err[0].startswith(f"companion: 2 ranks watched, 3 steps each{inside}, "), one.report
    line = (HEAD + SCRIPTS[name]).partition("        loss = ")[0].count("\n") + 1
    where = f"loss, line {line}" if name == "sent through" else "loss"
    three = " → ".join([r"[0-9.]+"] * 3)
    rows = rf"\n    {where}:\n        rank 0  {three}\n        rank 1  {three}\n"
    assert re.search(rows, one.err[0]), one.report


def test_lines_that_ddp_hands_on(ran: dict[str, Launched]) -> None:
    one = ran["sent through"]
    assert "# Lit.loss, train.py\n" in one.report
    assert re.findall(r"^(?:possible: )?([a-z-]+), line", one.report, re.M) == ["graph-kept"]


RANKS = f"""\
import os, subprocess, sys
if "LOCAL_RANK" in os.environ:
    print("rank", os.environ["LOCAL_RANK"], flush=True)
    sys.exit()
{{own}}for rank in {{ranks}}:
    told = {{{{**os.environ, "LOCAL_RANK": rank}}}}
    subprocess.run([sys.executable, __file__], env=told, check=True)
subprocess.run([sys.executable, "-c", ""], check=True)
{SETUP}"""
OWN = 'os.environ["LOCAL_RANK"] = "0"\n'
TO_WATCH = "To watch all, let torchrun start them: torchrun --nproc-per-node {} -m companion SCRIPT"


def test_other_ranks_that_a_script_starts(start: Start, tmp_path: Path) -> None:
    write(tmp_path, RANKS.format(own=OWN, ranks=["1"]) + LOOP)
    ran = start("script.py").well()
    assert ran.out.startswith("rank 1\n")
    words = "companion: not watched: 1 process that this script started as a rank of its training. "
    assert words + TO_WATCH.format(2) in ran.err


def test_where_all_ranks_are_others(start: Start, tmp_path: Path) -> None:
    write(tmp_path, RANKS.format(own="", ranks=["0", "1"]))
    ran = start("script.py").well()
    words = "companion: not watched: 2 processes that this script started as ranks of its training."
    assert f"{words} {TO_WATCH.format(2)}" in ran.err


def test_a_rank_that_starts_something_else(start: Start, tmp_path: Path) -> None:
    write(tmp_path, RANKS.format(own=OWN, ranks=[]) + LOOP)
    assert "not watched" not in start("script.py").well().err


LIBRARY = """\
import torch.multiprocessing as mp
def launch():
    mp.start_processes(print, nprocs=2, start_method="fork")
"""


def test_processes_in_which_a_library_runs_something(start: Start, tmp_path: Path) -> None:
    write(tmp_path, LIBRARY, "site-packages/launching.py")
    write(tmp_path, "import sys\nsys.path.insert(0, 'site-packages')\nimport launching\n")
    with (tmp_path / "script.py").open("a") as file:
        file.write("launching.launch()\n")
    ran = start("script.py").well()
    assert "what a library ran in 2 processes that this script started is not watched. " in ran.err
    assert 'strategy="ddp"), this watches them: torchrun --nproc-per-node 2 ' in ran.err
