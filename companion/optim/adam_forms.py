"""Adam's rule in its other two forms: for many parameters at once, and differentiable.

Every operation and their order are those of torch.optim.Adam; `inspect.getsource` shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from companion.optim.options import number
from companion.optim.reference import (
    Scalar,
    Tensors,
    as_real,
    decayed,
    like,
    plus,
)


def adam_foreach(
    params: Tensors,
    grads: Tensors,
    states: Sequence[dict[str, Any]],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    maximize: bool,
    decoupled_weight_decay: bool,
) -> None:
    """The same rule, each operation on all parameters at once."""
    beta1, beta2 = betas
    steps = [state["step"] for state in states]
    if steps[0].is_cpu:
        torch._foreach_add_(steps, torch.tensor(1.0, device="cpu"), alpha=1.0)
    else:
        torch._foreach_add_(steps, 1)
    counts = [step.item() for step in steps]
    if params[0].is_complex():
        views = map(as_real, params, grads, states)
        params, grads, states = zip(*views, strict=True)
    given = grads
    if maximize:
        grads = torch._foreach_neg(grads)
    if weight_decay != 0:
        if decoupled_weight_decay:
            torch._foreach_mul_(params, 1 - lr * weight_decay)
        else:
            grads = plus(grads, params, weight_decay, given)

    exp_avgs = [state["exp_avg"] for state in states]
    exp_avg_sqs = [state["exp_avg_sq"] for state in states]
    torch._foreach_lerp_(exp_avgs, grads, 1 - beta1)
    torch._foreach_mul_(exp_avg_sqs, beta2)
    torch._foreach_addcmul_(exp_avg_sqs, grads, grads, 1 - beta2)
    del grads, given  # if they are copies, their memory serves for denoms
    if amsgrad:
        largest = [state["max_exp_avg_sq"] for state in states]
        torch._foreach_maximum_(largest, exp_avg_sqs)
        exp_avg_sqs = largest

    denoms = torch._foreach_sqrt(exp_avg_sqs)
    torch._foreach_div_(denoms, [(1 - beta2**step) ** 0.5 for step in counts])
    torch._foreach_add_(denoms, eps)
    torch._foreach_addcdiv_(params, exp_avgs, denoms, [-lr / (1 - beta1**step) for step in counts])


def adam_differentiable(
    params: list[Tensor],
    grads: list[Tensor],
    states: list[dict[str, Any]],
    *,
    lr: Scalar,
    betas: tuple[Scalar, Scalar],
    eps: float,
    weight_decay: Scalar,
    amsgrad: bool,
    maximize: bool,
    decoupled_weight_decay: bool,
) -> None:
    """The same rule for autograd to follow, also into `lr`, `betas` and `weight_decay`.

    What autograd needs again is copied before it is overwritten. The step size goes into the
    denominator, where it can be an operand; `value` would take it as a number.
    """
    beta1, beta2 = betas
    for param, grad, state in zip(params, grads, states, strict=True):
        step = state["step"].add_(1).clone()
        if maximize:
            grad = -grad
        if weight_decay != 0:
            if decoupled_weight_decay:
                param.mul_(1 - lr * weight_decay)
            else:
                grad = decayed(grad, param, number(weight_decay))
        if param.is_complex():
            param, grad, state = as_real(param, grad, state)

        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        exp_avg.lerp_(grad, 1 - like(beta1, exp_avg))
        if isinstance(beta2, Tensor) and beta2.requires_grad:
            exp_avg_sq.lerp_(grad.square(), 1 - beta2)
        else:
            exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if amsgrad:
            largest = state["max_exp_avg_sq"]
            exp_avg_sq = largest.copy_(torch.maximum(largest.clone(), exp_avg_sq.clone()))

        step_size = -lr / (1 - beta1**step)
        denom = exp_avg_sq.sqrt() / ((1 - beta2**step).sqrt() * step_size)
        param.addcdiv_(exp_avg.clone(), denom.add_(eps / step_size))
