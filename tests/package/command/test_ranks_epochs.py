"""Several processes: a sampler that is told of no epoch, found when the watched steps are over."""

from __future__ import annotations

import gc
import textwrap
import weakref

import pytest
import torch
from torch import distributed
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from companion.command.scout.epochs import iterators
from tests.package.command.across import LOOP, START, WRAPPED
from tests.package.command.launched import Launched, launch
from tests.package.command.test_ranks import rules

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo here"
)
SETUP = START.replace("loader = DataLoader(data, 8, sampler=DistributedSampler(data))\n", "")
SETUP += "sampler = DistributedSampler(data)\nloader = DataLoader(data, 4, sampler=sampler)\n"
SETUP += WRAPPED
BODY = textwrap.indent(LOOP.partition("\n")[2], "    ")
EPOCHS = "for epoch in range(3):\n    for x, y in loader:  # <-\n" + BODY
TOLD = EPOCHS.replace("    for", "    sampler.set_epoch(epoch)\n    for", 1)
STEP = textwrap.dedent(LOOP.partition("\n")[2])
TRAIN = f"""\
def train(most):
    for i, (x, y) in enumerate(loader):  # <-
        if i >= most:
            break
{textwrap.indent(STEP, " " * 8)}
"""
FORKED = """\
loader = DataLoader(data, 4, sampler=sampler, num_workers=1, persistent_workers=kept,
                    multiprocessing_context="fork")
"""
# Of a sampler that a validation has, too, nobody tells; the default is to shuffle.
OTHER = "other = DataLoader(data, 2, sampler=DistributedSampler(data))\n"

BROKEN = {
    "no set_epoch": EPOCHS,
    "workers": "kept = False\n" + FORKED + EPOCHS,
    "persistent workers": "kept = True\n" + FORKED + EPOCHS,
    "by hand": "left = iter(loader)  # <-\nfor step in range(20):\n"
    "    try:\n        x, y = next(left)\n    except StopIteration:\n        left = iter(loader)\n"
    "        x, y = next(left)\n" + textwrap.indent(STEP, "    "),
    "accumulated": EPOCHS.replace("        sgd.zero_grad()\n", "")
    .replace("y)\n", "y) / 2\n")
    .replace(
        "        sgd.step()\n",
        "        count = globals().get('count', 0) + 1\n"
        "        if count % 2 == 0:\n            sgd.step()\n            sgd.zero_grad()\n",
    ),
    "left early": TRAIN + "for epoch in range(4):\n    train(3)\n",
    "a sampler for each epoch": EPOCHS.replace(
        "    for x",
        "    sampler = DistributedSampler(data)\n"
        "    loader = DataLoader(data, 4, sampler=sampler)\n    for x",
    ),
    "a loader for each epoch": EPOCHS.replace(
        "in loader:", "in DataLoader(data, 4, sampler=DistributedSampler(data, seed=3)):"
    ),
    "a function that makes both": "def batches():\n"
    "    return DataLoader(data, 4, sampler=DistributedSampler(data))\n"
    + EPOCHS.replace("in loader:", "in batches():"),
    "a training for each epoch": "def train():\n"
    "    loader = DataLoader(data, 4, sampler=DistributedSampler(data))\n"
    + EPOCHS.partition("\n")[2]
    + "for epoch in range(3):\n    train()\n",
    "in a function": "def main():\n" + textwrap.indent(EPOCHS, "    ") + "main()\ndel loader\n",
}
SOUND = {
    "told": TOLD,
    "one epoch": EPOCHS.replace("range(3)", "range(1)"),
    "told by its attribute": TOLD.replace("set_epoch(epoch)", "epoch = epoch"),
    "a look at first": "next(iter(loader))\nx, y = next(iter(loader))\n"
    "print(model(x).shape)\n" + EPOCHS.replace("range(3)", "range(1)"),
    "tried at first": TRAIN.replace("  # <-", "") + "train(3)\ntrain(100)\n",
    "told after all": "for x, y in loader:\n" + textwrap.indent(STEP, "    ") + TOLD,
    "evaluated on its own data": EPOCHS.replace("range(3)", "range(1)")
    + "for _ in range(3):\n    for x, y in loader:\n        model(x)\n",
    "not shuffled": "sampler = DistributedSampler(data, shuffle=False)\n"
    "loader = DataLoader(data, 4, sampler=sampler)\n" + EPOCHS,
    "a validation": OTHER
    + TOLD
    + "        if sgd.param_groups[0]['lr'] > 1:\n            break\n"
    + "    with torch.no_grad():\n        for x, y in other:\n            model(x)\n",
    "a validation now and then": OTHER
    + "few = iter(other)\ncount = 0\n"
    + TOLD
    + "        count += 1\n        if count % 2:\n            continue\n"
    + "        with torch.no_grad():\n            model(next(few)[0])\n"
    + "    few = iter(other)\n",
    "a seed for each epoch": EPOCHS.replace(
        "    for x", "    sampler = DistributedSampler(data, seed=epoch)\n"
        "    loader = DataLoader(data, 4, sampler=sampler)\n    for x",
    ),
    "a sampler for each epoch, told": EPOCHS.replace(
        "    for x", "    sampler = DistributedSampler(data)\n    sampler.set_epoch(epoch)\n"
        "    loader = DataLoader(data, 4, sampler=sampler)\n    for x",
    ),
    "samples drawn for each epoch": EPOCHS.replace(
        "    for x", "    part = torch.utils.data.Subset(data, torch.randperm(64).tolist())\n"
        "    loader = DataLoader(part, 4, sampler=DistributedSampler(part))\n    for x",
    ),
    "an order for each epoch": EPOCHS.replace(
        "    for x", "    sampler = DistributedSampler(data, shuffle=False)\n"
        "    loader = DataLoader(data, 4, sampler=sampler)\n    for x",
    ),
    "data for each epoch": EPOCHS.replace(
        "    for x", "    data = torch.utils.data.TensorDataset(torch.randn(64, 4), "
        "torch.randint(3, (64,)))\n"
        "    loader = DataLoader(data, 4, sampler=DistributedSampler(data))\n"
        "    for x",
    ),
    "a training for each rate": EPOCHS.replace("in range(3)", "in (0.1, 0.2, 0.3)").replace(
        "    for x", "    model = DDP(nn.Linear(4, 3))\n"
        "    sgd = torch.optim.SGD(model.parameters(), lr=epoch)\n"
        "    loader = DataLoader(data, 4, sampler=DistributedSampler(data))\n    for x",
    ),
    "two streams at once": EPOCHS.replace("range(3)", "range(1)").replace(
        "for x, y in loader:", "for (x, y), _ in zip(loader, DataLoader(data, 4, "
        "sampler=DistributedSampler(data))):",
    ),
    "a validation made anew": TOLD
    + "    with torch.no_grad():\n"
    "        for x, y in DataLoader(data, 4, sampler=DistributedSampler(data)):\n"
    "            model(x)\n",
    "a probe for each epoch": TOLD.replace(
        "    for x", "    few = next(iter(DataLoader(data, 4, sampler=DistributedSampler(data))))\n"
        "    for x",
    ),
    "two optimizers by turns": "other = torch.optim.SGD(model.parameters(), lr=0.01)\n"
    + EPOCHS.replace("range(3)", "range(1)").replace("sgd", "other")
    + EPOCHS.replace("range(3)", "range(1)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Launched]:
    """All scripts, in two processes each."""
    scripts = {
        name: SETUP + text + "dist.destroy_process_group()\n"
        for name, text in (BROKEN | SOUND).items()
    }
    return launch(tmp_path_factory.mktemp("epochs"), scripts)


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_found_when_the_script_is_over(ran: dict[str, Launched], name: str) -> None:
    one, line = ran[name], (SETUP + BROKEN[name]).partition("  # <-")[0].count("\n") + 1
    assert one.codes == [0, 0], one.report
    first, over, last = one.err[0].partition("companion: now that the script is over\n")
    assert over, one.report
    assert rules(first) == [], one.report
    assert rules(last) == [("(same-data)", line)], one.report
    assert one.report.count("cure: # the sampler's set_epoch(epoch)") == 1
    assert "A sampler that is told of no epoch shuffles once: " in last
    assert "compute the same gradient" not in one.report
    assert one.err[1] == ""


@pytest.mark.parametrize("name", SOUND)
def test_of_what_is_sound_nothing_is_said(ran: dict[str, Launched], name: str) -> None:
    assert ran[name].codes == [0, 0], ran[name].report
    assert rules(ran[name].report) == [], ran[name].report


@pytest.mark.parametrize("had", [False, True], ids=["not asked", "asked for its __dict__"])
def test_looking_for_an_iterator_keeps_it_not_alive(had: bool) -> None:
    """Its workers are to end when the user's loop is over, not when the collector runs."""
    data = TensorDataset(torch.arange(8.0))
    loader = DataLoader(data, 2, sampler=DistributedSampler(data, num_replicas=2, rank=0))
    iterator = iter(loader)
    next(iterator)
    assert not had or vars(iterator)
    gc.disable()
    try:
        found = iterators([loader.batch_sampler])
        assert [*map(id, found)] == [id(iterator)]
        living = weakref.ref(iterator)
        del iterator, found
        assert living() is None
    finally:
        gc.enable()
