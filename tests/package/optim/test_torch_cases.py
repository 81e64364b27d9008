"""PyTorch's own cases, driven through `OptimizerInfo` on our classes, with torch's as the oracle.

The cases are PyTorch's: options, schedulers, errors. What is asked of them here is more than that
the loss falls: that every number equals torch's after every step.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.package.optim.torch_cases import INFOS, OptimizerErrorEnum, inputs
from tests.package.optim.twins import NAMES, Twins, kept, random, same

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")

CASES = [(name, options) for name in NAMES for options in inputs(name)]
each_case = pytest.mark.parametrize(("name", "options"), CASES, ids=str)
SAVED = [(name, options) for name, options in CASES if not options["differentiable"]]
each_saved_case = pytest.mark.parametrize(("name", "options"), SAVED, ids=str)  # graphs are not


def linear_problem(twins: Twins) -> Callable[[], float]:
    """A step of both optimizers towards weight @ x + bias = 0; gives the loss before it."""
    torch.manual_seed(0)
    x = torch.randn(5)

    def step() -> float:
        weight, bias = (p.detach().requires_grad_() for p in twins.ours)
        loss = (weight @ x + bias).square().sum()
        loss.backward()
        twins.step([weight.grad, bias.grad])
        return loss.item()

    return step


def weight_and_bias(contiguous: bool = True) -> list[Tensor]:
    torch.manual_seed(1)
    weight = torch.randn(10, 5) if contiguous else torch.randn(10, 5, 2)[..., 0]
    bias = torch.randn(10) if contiguous else torch.randn(10, 2)[..., 0]
    return [weight, bias]


@pytest.mark.parametrize("contiguous", [True, False])
@each_case
def test_goes_the_right_way(name: str, options: dict[str, Any], contiguous: bool) -> None:
    twins = Twins(name, weight_and_bias(), **{"lr": 1e-3, **options})
    if not contiguous:
        for params in twins.theirs, twins.ours:
            for p, q in zip(params, weight_and_bias(contiguous=False), strict=True):
                p.data = q.detach()  # a view with strides of its own, which a clone would lose
        assert not any(p.is_contiguous() for p in twins.ours)
    step = linear_problem(twins)
    losses = [step() for _ in range(20)]
    assert losses[-1] > losses[0] if options.get("maximize") else losses[-1] < losses[0]


SCHEDULED = [(name, i) for name in NAMES for i in range(len(INFOS[name].scheduler_inputs))]


@pytest.mark.parametrize(("name", "which"), SCHEDULED)
def test_with_its_schedulers(name: str, which: int) -> None:
    for options in inputs(name):
        if options["differentiable"]:
            continue
        twins = Twins(name, weight_and_bias(), **options)
        makers = INFOS[name].scheduler_inputs[which]
        schedulers = [make(o) for o in (twins.torchs, twins.companions) for make in makers]
        step, began = linear_problem(twins), float(twins.companions.param_groups[0]["lr"])
        for _ in range(15):
            loss = step()
            for scheduler in schedulers:
                needs_loss = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
                scheduler.step(loss) if needs_loss else scheduler.step()
            rates = [float(o.param_groups[0]["lr"]) for o in (twins.torchs, twins.companions)]
            assert rates[0] == rates[1]
        only_on_plateaus = len(makers) == 1 and "Plateau" in repr(makers[0])
        assert rates[0] != began or only_on_plateaus


@each_case
def test_complex_numbers_are_pairs_of_real_ones(name: str, options: dict[str, Any]) -> None:
    """Also what torch's own case says: a complex parameter moves as its real view does."""
    start = torch.randn(10, 5, dtype=torch.complex64)
    twins = Twins(name, [start], **options)
    real = torch.view_as_real(start).clone().requires_grad_()
    if options["differentiable"]:
        real = real.clone()
    on_real = INFOS[name].optim_cls([real], **{"lr": 0.1, **options})
    for _ in range(3):
        (grad,) = random(twins.theirs)
        assert grad is not None
        twins.step([grad])
        real.grad = torch.view_as_real(grad)
        on_real.step()
        assert torch.allclose(torch.view_as_real(twins.ours[0]), real)


@each_case
def test_no_gradient_and_no_elements(name: str, options: dict[str, Any]) -> None:
    """PyTorch's case for gradients of 0 elements takes the step and compares nothing."""
    twins = Twins(name, [torch.ones(3), torch.ones(0, 4)], **options)
    twins.step([None, None])
    twins.step([None, torch.ones(0, 4)])
    assert torch.equal(twins.ours[0], torch.ones(3))
    assert twins.ours[1].shape == (0, 4)


@each_saved_case
def test_state_dict(name: str, options: dict[str, Any]) -> None:
    """The same keys, options and numbers as torch's, and a round trip changes none of them."""
    twins = Twins(name, weight_and_bias(), **options)
    for _ in range(2):
        twins.step(random(twins.theirs))
    ours, theirs = twins.companions.state_dict(), twins.torchs.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert list(ours["state"]) == list(theirs["state"])
    for i in ours["state"]:
        assert list(ours["state"][i]) == list(theirs["state"][i])
        assert all(same(ours["state"][i][k], theirs["state"][i][k]) for k in ours["state"][i])

    saved = copy.deepcopy(ours)
    twins.companions.load_state_dict(saved)
    for _ in range(2):
        twins.step(random(twins.theirs))


@each_saved_case
def test_older_state_dicts(name: str, options: dict[str, Any]) -> None:
    """Without the options that came later, and with plain numbers for step counts."""
    twins = Twins(name, weight_and_bias(), **options)
    twins.step(random(twins.theirs))
    for optimizer in twins.torchs, twins.companions:
        old = copy.deepcopy(optimizer.state_dict())
        for group in old["param_groups"]:
            for flag in INFOS[name].not_og_supported_flags:
                group.pop(flag, None)
        for state in old["state"].values():
            if "step" in state:
                state["step"] = state["step"].item()
        optimizer.load_state_dict(old)
    groups = twins.torchs.param_groups[0], twins.companions.param_groups[0]
    assert {**groups[0], "params": 0} == {**groups[1], "params": 0}
    twins.step(random(twins.theirs))


@each_case
def test_copies_keep_every_attribute(name: str, options: dict[str, Any]) -> None:
    optimizer = INFOS[name].optim_cls([torch.nn.Parameter(torch.ones(2))], **options)
    attributes = {key for key in vars(optimizer) if not key.startswith("_")}
    assert {key for key in vars(copy.deepcopy(optimizer)) if not key.startswith("_")} == attributes


ERRORS = [
    (name, i)
    for name in NAMES
    for i in range(len(INFOS[name].optim_error_inputs_func("cpu", torch.float32)))
]


@pytest.mark.parametrize(("name", "which"), ERRORS)
def test_errors(name: str, which: int) -> None:
    """The same type of error, and a message that PyTorch's own expression matches."""
    case = INFOS[name].optim_error_inputs_func("cpu", torch.float32)[which]
    assert case.error_on == OptimizerErrorEnum.CONSTRUCTION_ERROR
    params = case.optimizer_error_input.params
    if params is None:
        params = [torch.nn.Parameter(torch.ones(2))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(case.error_type, match=case.error_regex):
            INFOS[name].optim_cls(params, **case.optimizer_error_input.kwargs)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("maximize", [False, True])
def test_sparse_rosenbrock(momentum: float, maximize: bool) -> None:
    """PyTorch's valley, whose gradient comes a coordinate at a time; it never tries momentum."""
    options, schedulers = INFOS["SGD"].metadata_for_sparse
    options = {**options, "maximize": maximize, "momentum": momentum}
    for foreach in False, True:
        twins = Twins("SGD", [torch.tensor([1.5, 1.5])], **options, foreach=foreach)
        made = [make(o) for o in (twins.torchs, twins.companions) for make in schedulers]
        for i in range(60):
            x, y = twins.ours[0].tolist()
            slope = [-400 * x * (y - x**2) + 2 * (x - 1), 200 * (y - x**2)][i % 2]
            slope = max(-1.0, min(1.0, -slope if maximize else slope))
            grad = torch.sparse_coo_tensor(torch.tensor([[i % 2]]), torch.tensor([slope]), (2,))
            twins.step([grad])
            for scheduler in made:
                scheduler.step()
        x, y = twins.ours[0].tolist()
        assert 100 * (y - x**2) ** 2 + (1 - x) ** 2 < 50  # it began at 56.5
        assert len(kept(twins.companions, twins.ours[0])) == (momentum > 0)
