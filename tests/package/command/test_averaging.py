"""Local SGD, told by a source: what may average parameters, and what averages something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from companion.command.ranks.averaging import may_average, script_may_average

LOOP = "for x, y in loader:\n    loss = criterion(net(x), y)\n    loss.backward()\n    sgd.step()\n"

MAY = {
    "a loop": "for p in net.parameters():\n    dist.all_reduce(p.data)\n",
    "a list": "several = list(net.parameters())\nfor one in several:\n    dist.all_reduce(one)\n",
    "flat": "flat = parameters_to_vector(net.parameters())\ndist.all_reduce(flat)\n",
    "by name": "dist.all_reduce(tensor=net.weight)\n",
    "a function of a tensor": "def mean(one):\n    dist.all_reduce(one)\n    return one / 2\n",
    "a method": "class T:\n    def sync(self):\n        dist.all_reduce(self.flat)\n",
    "gathered": "dist.all_gather_object(states, net.state_dict())\n",
    "its averager": "averager = EveryTenth()\naverager.average_parameters(net)\n",
    "an optimizer": "sgd = PostLocalSGDOptimizer(sgd, averager)\n",
    "accelerate's": "with LocalSGD(accelerator=a, model=net) as local:\n    ...\n",
    "no Python": "all_reduce(\n",
}
NOT = {
    "nothing": LOOP,
    "the loss": LOOP + "    dist.all_reduce(loss)\n",
    "a copy of it": LOOP
    + "    seen = loss.detach().clone()\n    dist.all_reduce(seen, dist.ReduceOp.SUM)\n",
    "numbers": LOOP + "stats = torch.tensor([loss.item(), 1.0])\ndist.reduce(stats, dst=0)\n",
    "a seed": "seed = torch.randint(9, (1,))\ndist.broadcast(seed, 0)\n",
    "of one tensor": "def pick(x, y):\n    return x.gather(1, y), torch.gather(x, 1, y)\n",
    "einops": "def pool(x):\n    return reduce(x, 'b c h w -> b c', 'mean')\n",
    "a comment": "# an all_reduce of what the gradients are\n",
}


@pytest.mark.parametrize("name", MAY)
def test_may(name: str) -> None:
    assert may_average(MAY[name])


@pytest.mark.parametrize("name", NOT)
def test_does_not(name: str) -> None:
    assert not may_average(NOT[name])


def test_files(tmp_path: Path) -> None:
    """One that cannot be read may say anything."""
    for name, text in {"quiet.py": NOT["the loss"], "averages.py": MAY["a loop"]}.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in ("quiet.py", "averages.py", "gone.py")]
    assert [script_may_average([file]) for file in files] == [False, True, True]
