"""Lightning, the Trainer, Accelerate, ignite, fastai: what is said of loops that they run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.package.frameworks.running import watched
from tests.package.frameworks.scripts import BROKEN, CALLBACKS, CUT, RANKS, SOUND, TRAINER

pytestmark = pytest.mark.weekly

INSIDE = {
    "transformers": " inside transformers.Trainer.train()",
    "lightning": " inside lightning.Trainer.fit()",
    "ignite": " inside ignite.Engine.run()",
    "fastai": " inside fastai.Learner.fit()",
    "accelerate": "",  # the loop is the user's own
}
# Rows of the report: how often, whose part, what.
ROWS = {
    "transformers": [
        r"3x  Trainer\.compute_loss +forward, loss  loss ",
        r"3x  Accelerator\.backward +backward +25 gradients, norm ",
        r"3x  Accelerator\.clip_grad_norm_ +clip to 1 +nothing: the norm was below\n",
        r"3x  AdamW +step +25 parameters\n",
        r"3x  LambdaLR +step +lr 5e-05 → … → ",
        r"3x  model +zero_grad +25 gradients → None\n",
    ],
    "lightning": [
        r"# Lit\.training_step, train\.py\n",
        r"3x    \d\d  loss = nn\.functional\.cross_entropy\(self\.net\(x\), y\)  loss ",
        r"3x  LightningModule\.backward +backward +4 gradients, norm ",
        r"3x  AdamW +step +4 parameters\n",
        r"3x  LinearLR +step +lr ",
    ],
    "ignite": [r"3x  supervised_training_step\.update +forward, loss", r"3x  optimizer +step"],
    "fastai": [r"3x  Learner\.one_batch +backward", r"3x  Optimizer +step +4 parameters\n"],
    "accelerate": [r"3x +\d\d +accelerator\.clip_grad_norm_"],
}


def findings(folder: Path) -> list[tuple[str, int]]:
    told = json.loads((folder / "report.json").read_text())
    return [(one["rule"], one["line"]) for one in told["findings"]]


@pytest.mark.parametrize("library", SOUND)
def test_a_sound_loop(library: str, tmp_path: Path) -> None:
    ran = watched(tmp_path, SOUND[library], "--json", "report.json")
    assert ran.code == 0, ran.err
    assert f"companion: watched 3 steps{INSIDE[library]}, no findings\n" in ran.err
    assert findings(tmp_path) == []
    for row in ROWS[library]:
        assert re.search(row, ran.err), f"{row}\n{ran.err}"


def marked(script: str) -> list[tuple[str, int]]:
    """The lines of a script that are to blame, and the rule."""
    return [
        (line.partition("# <- ")[2], number)
        for number, line in enumerate(script.splitlines(), 1)
        if "# <-" in line
    ]


@pytest.mark.parametrize("library", BROKEN)
def test_a_broken_loop(library: str, tmp_path: Path) -> None:
    ran = watched(tmp_path, BROKEN[library], "--json", "report.json")
    assert ran.code == 3, ran.err
    assert findings(tmp_path) == marked(BROKEN[library])


@pytest.mark.parametrize("library", CUT)
def test_a_graph_that_is_cut_before_the_librarys_backward(library: str, tmp_path: Path) -> None:
    ran = watched(tmp_path, CUT[library], "--json", "report.json")
    assert sorted(findings(tmp_path)) == sorted(marked(CUT[library])), ran.err


def test_accelerate_decides_when_a_step_is_one_and_the_clipping_has_to_ask(tmp_path: Path) -> None:
    clip, asks = "accelerator.clip_grad_norm_(model.parameters(), 1.0)", "sync_gradients:\n    "
    cured = SOUND["accelerate"]  # finds nothing
    ran = watched(tmp_path, cured.replace(f"if accelerator.{asks}        {clip}", clip)).well()
    assert "possible: clip-before-backward, line 16, 3 times: " in ran.err
    assert " below the limit, norm 0." in ran.err
    cure = (
        f"    cure: if accelerator.{asks}          {clip}  # once for every step, right before it"
    )
    assert f"{cure}\n          optimizer.step()\n" in ran.err


def test_ranks_that_lightning_starts(tmp_path: Path) -> None:
    ran = watched(tmp_path, RANKS, "--json", "report.json").well()
    assert findings(tmp_path) == marked(RANKS)
    assert all(re.search(row, ran.err) for row in ROWS["lightning"]), ran.err
    words = "not watched: 1 process that this script started as a rank of its training. To watch "
    assert f"{words}all, let torchrun start them: torchrun --nproc-per-node 2 " in ran.err


def test_ranks_of_lightning_that_torchrun_starts(tmp_path: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "companion"]
    ran = watched(tmp_path, RANKS, "--json", "report.json", before=torchrun).well()
    assert "companion: 2 ranks watched, 3 steps each inside lightning.Trainer.fit(), " in ran.err
    assert findings(tmp_path) == marked(RANKS)
    assert re.search(r"\n    loss, line \d+:\n        rank 0  .*\n        rank 1  ", ran.err), (
        ran.err
    )


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_notebook"])
def test_processes_of_lightnings_that_run_no_script(strategy: str, tmp_path: Path) -> None:
    ran = watched(tmp_path, RANKS.replace("ddp", strategy)).well()
    assert "companion: what a library ran in 2 processes that this script started" in ran.err


def test_the_lines_of_a_library(tmp_path: Path) -> None:
    ran = watched(tmp_path, TRAINER, "--into", "transformers.Trainer", "--json", "report.json")
    assert "# Trainer.training_step, trainer.py\n" in ran.err
    assert "self.accelerator.backward(loss, **kwargs)" in ran.err
    assert findings(tmp_path) == []


@pytest.mark.parametrize("library", CALLBACKS)
def test_a_callback(library: str, tmp_path: Path) -> None:
    ran = watched(tmp_path, CALLBACKS[library], command=False).well()
    assert ran.out.rstrip().endswith("True []")
    assert f"companion: watched 3 steps{INSIDE[library]}, no findings\n" in ran.err
