"""A class of optimizer on one case: PyTorch's problem, step by step, and what it leaves.

The problem is that of PyTorch's tests: 20 steps towards `weight @ x + bias = 0`. A third parameter
is added whose gradient comes late, and among the gradients are one of None and one of zeros.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

Make = Callable[..., Optimizer]
STEPS, LATE, NONE, ZEROS, CHECKPOINT = 20, 3, 5, 7, 10


class Moment(NamedTuple):
    """After a step: the parameters, and the buffer of each that has one."""

    params: list[Tensor]
    buffers: list[Tensor | None]


class SpoiledError(Exception):
    """A step did what no step may do; its text says what."""


class Way(NamedTuple):
    """How a case is played.

    Attributes:
        contiguous: Whether the parameters' entries stand side by side in memory.
        gaps: Whether some gradients are None, and one is zeros.
        alone: Whether the optimizer has one parameter only.
        groups: Options of the second group of parameters; None where there is one group.
        checkpoint: Whether, half way, a new optimizer goes on with the state of the old one.
        schedulers: What changes the learning rate after each step.
    """

    contiguous: bool = True
    gaps: bool = True
    alone: bool = False
    groups: dict[str, Any] | None = None
    checkpoint: bool = False
    schedulers: Iterable[Callable[[Optimizer], Any]] = ()


@torch.enable_grad()
def play(make: Make, options: dict[str, Any], way: Way) -> list[Moment]:
    """Each moment of a training with an optimizer of this class.

    Raises:
        SpoiledError: If a step replaces a parameter, or writes to a gradient.
    """
    random = torch.Generator().manual_seed(0)
    params, x = beginning(way.contiguous, random), torch.randn(5, generator=random)
    held = params[:1] if way.alone else params
    optimizer = made(make, held, options, way)
    schedulers = [one(optimizer) for one in way.schedulers]
    moments = []
    for step in range(STEPS):
        clear(params, to_none=step % 2 == 0)
        loss = (params[0] @ x + params[1]).square().sum()
        torch.autograd.backward(loss)
        late = torch.randn(10, generator=random)
        params[2].grad = late if step >= LATE or not way.gaps else None
        if way.gaps and step == NONE:
            params[1].grad = None
        if way.gaps and step == ZEROS:
            params[0].grad = torch.zeros_like(params[0])
        take(optimizer, params)
        for scheduler in schedulers:
            plateau = isinstance(scheduler, ReduceLROnPlateau)
            scheduler.step(loss.item()) if plateau else scheduler.step()
        moments.append(moment(optimizer, held))
        if way.checkpoint and step == CHECKPOINT:
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = made(make, held, options, way)
            optimizer.load_state_dict(saved)
    return moments


def beginning(contiguous: bool, random: torch.Generator) -> list[nn.Parameter]:
    """PyTorch's weight and bias, in its shapes, and one more parameter."""
    shapes = [(10, 5), (10,), (10,)]
    pairs = [torch.randn(*shape, 2, generator=random)[..., 0] for shape in shapes]
    return [nn.Parameter(one.contiguous() if contiguous else one) for one in pairs]


def made(make: Make, params: list[nn.Parameter], options: dict[str, Any], way: Way) -> Optimizer:
    """The optimizer; the options are copied, for a scheduler may write into a tensor lr."""
    given: list[Any] = params
    if way.groups is not None:
        given = [{"params": params[:1]}, {"params": params[1:], **way.groups}]
    return make(given, **copy.deepcopy(options))


def clear(params: list[nn.Parameter], *, to_none: bool) -> None:
    """Both ways that there are: a buffer that is a gradient's own tensor is cleared as well."""
    for p in params:
        if to_none:
            p.grad = None
        elif p.grad is not None:
            p.grad.zero_()


def take(optimizer: Optimizer, params: list[nn.Parameter]) -> None:
    """One step, in which each parameter and each gradient stays the tensor that it is."""
    groups = [[*group["params"]] for group in optimizer.param_groups]
    places = [p.data_ptr() for p in params]
    grads = [None if p.grad is None else p.grad.clone() for p in params]
    optimizer.step()
    for group, before in zip(optimizer.param_groups, groups, strict=True):
        if [*map(id, group["params"])] != [*map(id, before)]:
            raise SpoiledError("in place, please: a group holds another tensor after your step")
    if [p.data_ptr() for p in params] != places:
        raise SpoiledError("in place, please: a parameter has other memory after your step")
    for p, grad in zip(params, grads, strict=True):
        if p.grad is not None and p.grad is optimizer.state.get(p, {}).get("momentum_buffer"):
            raise SpoiledError("the first buffer is the gradient's own tensor: clone it")
        if p.grad is None and grad is not None:
            raise SpoiledError("a gradient is gone after your step")
        if p.grad is not None and grad is None:
            raise SpoiledError("a gradient of None is no longer None after your step")
        if p.grad is not None and grad is not None and not torch.equal(p.grad, grad):
            raise SpoiledError("a gradient has changed in your step: who adds to it reads it next")


def moment(optimizer: Optimizer, params: list[nn.Parameter]) -> Moment:
    """Copies of what is compared."""
    kept = [optimizer.state.get(p, {}).get("momentum_buffer") for p in params]
    return Moment(
        [p.detach().clone() for p in params],
        [one.detach().clone() if isinstance(one, Tensor) else None for one in kept],
    )
