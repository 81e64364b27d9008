"""What *Between backward and step* says without a cell that shows it, as in test_claims.py."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from tests import ROOT
from tests.chapters.claims import Claims, Run

CLAIMS = Claims()
said = CLAIMS.said
STEPPED = "which makes it only if `unscale_` has found no gradient that is infinite or nan."


def one(value: float, grad: float | None = None) -> nn.Parameter:
    p = nn.Parameter(torch.tensor([value]))
    p.grad = None if grad is None else torch.tensor([grad])
    return p


@said("09", "their [norm](glossary.md#norm) is 22130. `unscale_` takes the factor out, 0.34,")
def what_the_first_player_shows() -> None:
    cells = json.loads((ROOT / "book/09_between_backward_and_step.ipynb").read_text())["cells"]
    (cell,) = (c for c in cells if "routine.play(predict=True)" in "".join(c["source"]))
    shown = "".join(cell["outputs"][0]["data"]["text/html"])
    for number in ("2.213e+04", "0.3377"):
        assert number in shown


@said(
    "09",
    "With `ignore_index` these are the labels that are not ignored",
    "With class weights it is the sum of the weights.",
)
def what_a_mean_is_divided_by() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(4, 3), torch.tensor([0, -100, 2, 0])
    cross_entropy, weights = nn.functional.cross_entropy, torch.tensor([1.0, 2.0, 5.0])
    summed = cross_entropy(scores, labels, reduction="sum")
    torch.testing.assert_close(cross_entropy(scores, labels), summed / 3)
    summed = cross_entropy(scores, labels, weight=weights, reduction="sum")
    torch.testing.assert_close(cross_entropy(scores, labels, weight=weights), summed / 7)


@said("09", "SGD then moves as with a learning rate 64 times as large, and [Adam does not mind]")
def what_a_sum_does_to_two_optimizers() -> None:
    def step(kind: type[torch.optim.Optimizer], grad: float, lr: float) -> float:
        kind([p := one(1.0, grad)], lr=lr).step()  # type: ignore[call-arg]
        return p.item()

    assert step(torch.optim.SGD, 64 * 0.5, 0.01) == pytest.approx(step(torch.optim.SGD, 0.5, 0.64))
    assert step(torch.optim.Adam, 64 * 0.5, 0.01) == pytest.approx(
        step(torch.optim.Adam, 0.5, 0.01)
    )


@said("09", "takes mean and variance over the images of a batch;", "take them within each image.")
def who_looks_at_other_images() -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 64)
    for layer, alone in (
        (nn.BatchNorm1d(64), False),
        (nn.LayerNorm(64), True),
        (nn.GroupNorm(8, 64), True),
    ):
        assert torch.allclose(layer(images)[:4], layer(images[:4]), atol=1e-6) is alone


@said(
    "09",
    "Then SGD makes steps of one length, the learning rate times 0.1,",
    "and a factor that is common to all of them cancels out.",
)
def what_a_limit_that_is_too_low_does() -> None:
    for grads in ([3.0, 4.0], [30.0, -4.0]):
        p = nn.Parameter(torch.zeros(2))
        p.grad = torch.tensor(grads)
        clip_grad_norm_([p], 0.1)
        torch.optim.SGD([p], lr=0.5).step()
        assert p.detach().norm().item() == pytest.approx(0.05, rel=1e-4)
    plain, clipped = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    both = torch.optim.Adam([plain], lr=0.1), torch.optim.Adam([clipped], lr=0.1)
    for grads in ([3.0, 4.0], [-4.0, 3.0], [5.0, 0.0]):  # all of one norm: one factor for all
        plain.grad, clipped.grad = torch.tensor(grads), torch.tensor(grads)
        clip_grad_norm_([clipped], 0.1)
        for optimizer in both:
            optimizer.step()
    torch.testing.assert_close(plain, clipped)


@said(
    "09",
    "Adam's own step is not thrown far: it is divided by the size of the gradient. But its "
    "averages hold the wild gradient for many steps, and all of these go its way.",
)
def adam_after_a_wild_gradient() -> None:
    optimizer, places = torch.optim.Adam([p := one(0.0)], lr=0.1), [0.0]
    for step in range(50):
        p.grad = torch.tensor([-100.0 if step == 30 else 1.0])
        optimizer.step()
        places.append(p.item())
    moves = [after - before for before, after in pairwise(places)]
    usual = abs(moves[29])
    assert 0 < moves[30] <= usual
    assert sum(move > 0 for move in moves[30:]) >= 15


@said(
    "09",
    "`clip_grad_norm_` returns the norm from before. With an infinite limit, its `max_norm`, it "
    "shrinks nothing",
    "A norm that is nan makes all gradients nan, and the step all parameters. One that is infinite "
    "makes the infinite gradients nan, and the others 0. "
    "`clip_grad_norm_(..., error_if_nonfinite=True)` raises instead.",
)
def norms_without_limit_and_without_a_number() -> None:
    parameters = [one(0.0, 3.0), one(0.0, 4.0)]
    assert clip_grad_norm_(parameters, math.inf).item() == 5
    assert [cast(Tensor, p.grad).item() for p in parameters] == [3, 4]
    broken = [one(0.0, 3.0), one(0.0, math.nan)]
    with pytest.raises(RuntimeError, match="non-finite"):
        clip_grad_norm_(broken, 1.0, error_if_nonfinite=True)
    clip_grad_norm_(broken, 1.0)
    torch.optim.SGD(broken, lr=0.1).step()
    assert all(p.isnan().all() for p in broken)
    endless = [one(0.0, 3.0), one(0.0, math.inf)]
    clip_grad_norm_(endless, 1.0)
    finite, infinite = (cast(Tensor, p.grad).item() for p in endless)
    assert finite == 0
    assert math.isnan(infinite)


@said("09", "and the step turns, at 0.001 by 42 degrees.")
def which_angle_has_this_cosine() -> None:
    assert round(math.degrees(math.acos(0.746))) == 42


@said(
    "09", "`GradScaler(enabled=False)` leaves the lines of the loop as they are and does nothing."
)
def a_scaler_that_is_off() -> None:
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    optimizer = torch.optim.SGD([p := one(1.0)], lr=0.1)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    assert cast(Tensor, p.grad).item() == 1
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == pytest.approx(0.9)
    assert scaler.get_scale() == 1


@said(
    "09",
    "1 + 0.001 is 1.",
    "near 1 its numbers are 0.008 apart.",
    "their hidden number is 0 in all 32 images, or their pixel is dark whenever it is not.",
)
def what_cannot_move() -> None:
    assert round(torch.finfo(torch.bfloat16).eps, 3) == 0.008
    assert torch.tensor(1.0, dtype=torch.bfloat16) + 0.001 == 1
    from sklearn.datasets import load_digits  # a second, in each process that collects this

    digits = load_digits()
    images = torch.tensor(digits.data[:32] / 16).float()
    labels = torch.tensor(digits.target[:32])
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    nn.functional.cross_entropy(net(images), labels).backward()
    light, fires = (images > 0).float(), (net[:2](images) > 0).float()
    both = fires.T @ light > 0  # (64, 64), as the weight
    assert not both.all()
    assert torch.equal(cast(Tensor, net[0].weight.grad) != 0, both)
    never = ~fires.any(dim=0)
    assert torch.equal(cast(Tensor, net[0].bias.grad) == 0, never)
    assert torch.equal((cast(Tensor, net[2].weight.grad) == 0).all(dim=0), never)


@said(
    "09",
    "For this network it makes no difference inside. But a part that was computed in `float32`, "
    "with autocast off, would go back in 16 bits.",
)
def a_backward_inside_autocast() -> None:
    torch.manual_seed(0)
    net, inputs = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(8, 4)
    found = []
    for inside in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = net(inputs)
            loss = outputs.float().square().mean()
            outputs.retain_grad()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        assert cast(Tensor, outputs.grad).dtype == torch.bfloat16
        found.append([cast(Tensor, p.grad) for p in net.parameters()])
    assert all(map(torch.equal, *found))

    # The last layer in float32: from there on backward is off by the digits of 16 bits.
    kept = []
    for inside in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = net[:2](inputs)
            with torch.autocast("cpu", enabled=False):
                loss = net[2](hidden.float()).square().mean()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        kept.append(cast(Tensor, net[2].weight.grad).clone())
    assert not torch.equal(*kept)
    torch.testing.assert_close(*kept, rtol=0.02, atol=0.01)


@said(
    "09",
    "the second `backward` has added gradients with the factor to gradients without it.",
    STEPPED,
    "After 2000 good steps it is doubled, and when it is too large, a step is lost and it is "
    "halved.",
    "`scaler.state_dict()` belongs into",
)
def what_a_scaler_does() -> None:
    scaler = torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD([p := one(1.0)], lr=0.1)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.scale(p.sum()).backward()
    assert cast(Tensor, p.grad).item() == 1 + 65536
    assert (scaler.get_growth_interval(), scaler.get_growth_factor()) == (2000, 2)

    for bad in (math.inf, math.nan):
        scaler = torch.amp.GradScaler("cpu")
        scaler.scale(p * 0).sum().backward()
        p.grad = torch.tensor([bad])
        scaler.step(optimizer)
        scaler.update()
        assert (p.item(), scaler.get_scale()) == (1, 32768)
        other = torch.amp.GradScaler("cpu")
        other.load_state_dict(scaler.state_dict())
        assert other.get_scale() == 32768


@said(
    "09",
    "Without your own `unscale_`, `scaler.step` calls it. A nan that comes after `unscale_` is not "
    "seen.",
)
def what_a_scaler_does_not_see() -> None:
    scaler = torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD([p := one(1.0)], lr=0.1)
    scaler.scale(p.sum()).backward()
    scaler.step(optimizer)
    assert p.item() == pytest.approx(0.9)
    scaler.update()
    optimizer.zero_grad()
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    p.grad = torch.tensor([math.nan])
    scaler.step(optimizer)
    assert math.isnan(p.item())


@said("09", "a number in the network became larger than 65504, the largest of `float16`.")
def where_float16_ends() -> None:
    assert torch.finfo(torch.float16).max == 65504


@said("09", "`ReduceLROnPlateau` wants the [validation](glossary.md#validation) loss")
def what_a_plateau_needs() -> None:
    optimizer = torch.optim.SGD([one(1.0)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(TypeError, match="metrics"):
        scheduler.step()  # type: ignore[call-arg]
    scheduler.step(0.5)


@CLAIMS.each()
def test_it_is_so(run: Run) -> None:
    CLAIMS.hold(run)
