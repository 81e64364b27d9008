"""What the page of symptoms says of leftovers, copies, seeds and schedulers: a run for each."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.chapters.glossary import equal, grads, values
from tests.chapters.symptoms import PAGE, names, run, see


def test_what_is_left_over_goes_into_the_next_epoch(tmp_path: Path) -> None:
    net = run("**A small batch is left over**", tmp_path).names["net"]
    assert len(grads(net)) == 4


def test_a_scaler_keeps_nan_away_and_halves_its_factor_each_time(tmp_path: Path) -> None:
    seen = run("**With a [`GradScaler`](glossary.md#gradscaler)** a nan", tmp_path)
    assert seen.names["scaler"].get_scale() == 2.0**16 / 2**6
    assert equal(values(seen.names["net"]), values(names()["net"]))
    assert torch.finfo(torch.float16).max == 65504


def test_what_brings_a_gradient_back(tmp_path: Path) -> None:
    seen = run("gives 0 for every sample.**", tmp_path)
    net, (inputs, labels) = seen.names["net"], seen.names["batches"][0]
    net[1] = nn.LeakyReLU()
    net.zero_grad()
    nn.functional.cross_entropy(net(inputs), labels).backward()
    assert net[0].weight.grad.norm() > 0

    net = run("on its way through many layers", tmp_path).names["net"]
    share = net[0].weight.grad.norm() / net[-1].weight.grad.norm()
    assert share < 1e-9
    torch.manual_seed(0)
    net = nn.Sequential(*[Past() for _ in range(20)], nn.Linear(4, 3))
    nn.functional.cross_entropy(net(inputs), labels).backward()
    first, last = next(net.parameters()).grad, cast(nn.Linear, net[-1]).weight.grad
    assert first is not None
    assert last is not None
    assert first.norm() / last.norm() > 1e-3


class Past(nn.Module):
    """A layer, and a connection past it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.layer(x)).sigmoid()


def test_a_thawed_layer_has_to_be_given_to_the_optimizer(tmp_path: Path) -> None:
    seen = run("**A layer was thawed,", tmp_path)
    net, optimizer = seen.names["net"], seen.names["optimizer"]
    first = names()["net"][0]
    assert equal(values(net[0]), values(first))
    assert len(grads(net[0])) == 2
    optimizer.add_param_group({"params": net[0].parameters()})
    optimizer.step()
    assert not equal(values(net[0]), values(first))

    given = names()
    given["net"][0].requires_grad_(False)
    everything = torch.optim.SGD(given["net"].parameters(), lr=0.1)
    given["net"][0].requires_grad_(True)
    inputs, labels = given["batches"][0]
    nn.functional.cross_entropy(given["net"](inputs), labels).backward()
    everything.step()
    assert not equal(values(given["net"][0]), values(first))


def test_what_the_first_step_makes_and_the_others_keep() -> None:
    given = names()
    net, optimizer = given["net"], torch.optim.Adam(given["net"].parameters(), lr=0.001)
    kept = []
    for inputs, labels in given["batches"]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
        states = [t for state in optimizer.state.values() for t in state.values() if t.dim()]
        kept.append(sum(t.numel() for t in [*grads(net), *states]))
    assert set(kept) == {3 * sum(p.numel() for p in net.parameters())}


def test_numbers_without_a_graph_are_kept_too(tmp_path: Path) -> None:
    kept = run("**Tensors in a list** grow", tmp_path).names["kept"]
    assert sum(t.numel() for t in kept) == 6 * 8 * 3
    assert not any(t.requires_grad for t in kept)


def test_dropout_as_a_function_knows_of_no_mode(tmp_path: Path) -> None:
    seen = run("Or dropout is called as a function", tmp_path)
    assert not seen.names["same"]
    told = PAGE.partition("Or dropout is called as a function")[2].partition("```python\n")[2]
    told = told.partition("```")[0].replace("relu())", "relu(), training=self.training)")
    assert see(told, tmp_path).names["same"]


def test_a_training_loss_is_measured_while_the_network_learns(tmp_path: Path) -> None:
    seen = run("## The test loss is below the training loss", tmp_path, steps=4)
    net, batches = seen.names["net"], seen.names["batches"]
    with torch.no_grad():
        alike = [nn.functional.cross_entropy(net(x), y).item() for x, y in batches]
    assert not net.training
    assert sum(alike) < 0.95 * seen.names["total"]


def test_a_scheduler_counts_its_calls(tmp_path: Path) -> None:
    words = "## The learning rate falls too early"
    seen = run(words, tmp_path)
    assert seen.names["optimizer"].param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**3)
    ahead = run("**Several small batches make one step,**", tmp_path)
    assert ahead.names["optimizer"].param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**2)


def test_what_draws_random_numbers(tmp_path: Path) -> None:
    seen = run("## The same seed, another result", tmp_path)
    assert not equal(values(seen.names["net"]), values(names()["net"]))

    def drawn(before: Callable[[], object]) -> float:
        torch.manual_seed(0)
        before()
        return torch.rand(1).item()

    plain = drawn(lambda: None)
    assert drawn(lambda: None) == plain
    for draws in (
        lambda: nn.Linear(2, 2),
        lambda: nn.functional.dropout(torch.ones(2)),
        lambda: [*DataLoader(cast(Any, range(4)))],
    ):
        assert drawn(draws) != plain
    random.seed(1)
    first = random.random()
    torch.manual_seed(0)
    assert random.random() != first
    assert drawn(random.random) == plain


def test_a_state_dict_shares_its_memory(tmp_path: Path) -> None:
    seen = run("## The best weights that were kept are the last ones", tmp_path)
    weight = seen.names["net"][0].weight
    assert seen.names["best"]["0.weight"].data_ptr() == weight.data_ptr()
    copied = copy.deepcopy(seen.names["net"].state_dict())
    assert copied["0.weight"].data_ptr() != weight.data_ptr()
    torch.save(seen.names["net"].state_dict(), tmp_path / "best.pt")
    with torch.no_grad():
        weight.add_(1)
    assert torch.equal(torch.load(tmp_path / "best.pt")["0.weight"], copied["0.weight"])


def test_an_optimizer_brings_its_learning_rate_along(tmp_path: Path) -> None:
    seen = run("## After loading a checkpoint the loss jumps", tmp_path)
    assert seen.names["optimizer"].param_groups[0]["lr"] == 0.1


def test_what_a_fake_batch_needs_is_detach() -> None:
    for detached in (True, False):
        given = names()
        generator, discriminator, bce = (given[x] for x in ("generator", "discriminator", "bce"))
        made = generator(given["noise"])
        bce(discriminator(made), given["real"]).backward(retain_graph=not detached)
        generator.zero_grad()
        bce(discriminator(made.detach() if detached else made), given["fake"]).backward()
        assert bool(grads(generator)) is not detached


def test_a_backbone_in_no_grad_may_be_meant_so(tmp_path: Path) -> None:
    code = """class Kept(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        with torch.no_grad():
            features = self.first(x).relu()
        return self.last(features)


net = Kept()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
"""
    assert see(code, tmp_path).rules == set()
    detached = code.replace("return self.last(features)", "return self.last(features.detach())")
    detached = detached.replace("        with torch.no_grad():\n    ", "")
    assert see(detached, tmp_path).rules == {"cut-between"}
