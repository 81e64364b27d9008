"""SGD: the rule, what momentum keeps, the same rule for many parameters at once, the class.

Every operation and their order are those of torch.optim.SGD; `inspect.getsource` shows it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from companion.optim.options import check_number, check_variants, number
from companion.optim.reference import ParamsT, ReferenceOptimizer, Tensors, decayed, plus


def sgd(
    params: list[Tensor],
    grads: list[Tensor],
    states: list[dict[str, Any]],
    *,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float | Tensor,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Move each parameter by its gradient, in place. With every option off it is the last line."""
    bufs = [state.get("momentum_buffer") for state in states]
    for param, grad, state, buf in zip(params, grads, states, bufs, strict=True):
        given = grad
        if maximize:
            grad = -grad
        if weight_decay != 0:
            grad = decayed(grad, param, weight_decay)
        if momentum != 0:
            buf = state["momentum_buffer"] = momentum_buffer(buf, grad, momentum, dampening)
            if not nesterov:
                grad = buf
            elif grad is given or grad.dtype != buf.dtype:  # not into .grad, nor into fewer digits
                grad = grad.add(buf, alpha=momentum)
            else:
                grad.add_(buf, alpha=momentum)
        if not isinstance(lr, (int, float)):  # a tensor whose own gradient is wanted
            param.addcmul_(grad.clone(), lr, value=-1)
        else:
            param.add_(grad, alpha=-lr)


def momentum_buffer(buf: Tensor | None, grad: Tensor, momentum: float, dampening: float) -> Tensor:
    """A parameter's running sum of gradients, with one more. The first is not dampened."""
    if buf is None:
        return grad.clone()
    return buf.mul_(momentum).add_(grad, alpha=1 - dampening)


def sgd_foreach(
    params: Tensors,
    grads: Tensors,
    states: list[dict[str, Any]],
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """The same rule, each operation on all parameters at once."""
    given = grads
    if maximize:
        grads = torch._foreach_neg(grads)
    if weight_decay != 0:
        grads = plus(grads, params, weight_decay, given)
    if momentum != 0:
        bufs: list[Any] = [state.get("momentum_buffer") for state in states]
        if any(buf is None for buf in bufs):  # a first step is among them: one by one, as torch
            for i, state in enumerate(states):
                buf = momentum_buffer(bufs[i], grads[i], momentum, dampening)
                bufs[i] = state["momentum_buffer"] = buf
        else:
            torch._foreach_mul_(bufs, momentum)
            torch._foreach_add_(bufs, grads, alpha=1 - dampening)
        grads = plus(grads, bufs, momentum, given) if nesterov else bufs
    if any(grad.is_sparse for grad in grads):  # not every device adds these all at once
        for param, grad in zip(params, grads, strict=True):
            param.add_(grad, alpha=-lr)
    else:
        torch._foreach_add_(params, grads, alpha=-lr)


class SGD(ReferenceOptimizer):
    r"""Stochastic gradient descent, written to be read: `torch.optim.SGD`, bit for bit.

    With gradient :math:`g_t`, parameter :math:`p_t` and learning rate :math:`\eta`, one step is
    :math:`p_{t+1} = p_t - \eta g_t`. The options change what stands in place of :math:`g_t`, in
    this order: `maximize` makes it :math:`-g_t`; `weight_decay` :math:`\lambda` adds
    :math:`\lambda p_t`; `momentum` :math:`\mu` with `dampening` :math:`\tau` puts the buffer
    :math:`b_t = \mu b_{t-1} + (1 - \tau) g_t` there, with :math:`b_1 = g_1`; `nesterov` puts
    :math:`g_t + \mu b_t` there instead.

    Takes the place of `torch.optim.SGD` in a script: same options, same state, same numbers to the
    last bit, path by path: `foreach=False` equals torch's loop, `foreach=True` torch's foreach
    path, and without either the path is the one torch would take. Momentum is torch's form, which
    leaves the learning rate outside the buffer; Sutskever et al. keep it inside, and the two
    differ as soon as the learning rate changes.

    Where it differs from torch's, on purpose:

    - Refused, in the constructor and in every parameter group that is added: a NaN or infinite
      option, a dampening below 0 or above 1, and in a group what torch's constructor refuses. What
      is written into `param_groups` afterwards is not looked at, as in torch.
    - `fused=True` is refused, also in a state dict: there is no line to read in a fused kernel.
    - `foreach=True` with `differentiable=True` is refused, and without a choice `differentiable`
      takes the loop on every device: torch's foreach path loses the gradient of a tensor `lr`.
    - No `.grad` is written to. torch's foreach path does, with `nesterov` and neither
      `weight_decay` nor `maximize`; its loop does, with a `weight_decay` that requires grad.
    - `differentiable` with `momentum`: the gradient goes through the first buffer too, which torch
      cuts off, and an `lr` that requires grad works for several steps, which fails in torch
      unless `nesterov` is on.
    - torch's mark for its profiler is set only while one runs in the same thread, and a step hook
      that a closure registers is first called at the next step.
    - It is a `torch.optim.Optimizer` and not a `torch.optim.SGD`, and has no `_init_group`.

    Args:
        params: Parameters, groups of them as dicts, or (name, parameter) pairs, as for
            `torch.optim.SGD`.
        lr: Learning rate, 0 or more; a number or a 1-element tensor.
        momentum: Momentum factor, 0 or more.
        dampening: How much of a gradient is kept out of the buffer, from 0 to 1.
        weight_decay: L2 penalty, 0 or more; a number or a 1-element tensor.
        nesterov: Nesterov momentum; needs a momentum above 0 and no dampening.
        maximize: Climb instead of descend.
        foreach: Whether each operation runs on all parameters at once. None: True where all
            parameters are on a GPU, unless `differentiable` is True or `fused` False.
        differentiable: Whether autograd follows the step. The parameters must not be leaves then.
        fused: None or False; here to be refused with a reason.

    Raises:
        ValueError: If an option is out of its range, in the constructor or in a parameter group.
        TypeError: If an option is no number.

    Example:
        >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        >>> optimizer = SGD([p], lr=0.5)
        >>> (p * p).sum().backward()  # the gradient is 2p
        >>> optimizer.step()
        >>> p.data
        tensor([0., 0.])

    Source:
        torch.optim.SGD (https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html);
        Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep
        learning, ICML 2013 (https://proceedings.mlr.press/v28/sutskever13.html).
    """

    _loop = staticmethod(sgd)
    _foreach = staticmethod(sgd_foreach)
    _differentiable = staticmethod(sgd)
    _absent: ClassVar = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        self._check(defaults)
        super().__init__(params, defaults)

    def _check(self, options: dict[str, Any]) -> None:
        check_number(options["lr"], "lr", "learning rate")
        check_number(options["momentum"], "momentum", "momentum value")
        check_number(options["dampening"], "dampening", "dampening value", most=1)
        check_number(options["weight_decay"], "weight_decay", "weight_decay value")
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening; "
                f"got momentum={options['momentum']}, dampening={options['dampening']}. "
                "Try momentum=0.9, dampening=0"
            )
        check_variants(options, type(self).__name__)

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "lr": number(group["lr"]),
            "momentum": group["momentum"],
            "dampening": group["dampening"],
            "weight_decay": number(group["weight_decay"]),
            "nesterov": group["nesterov"],
            "maximize": group["maximize"],
        }

    def _states(self, params: list[Tensor], group: dict[str, Any]) -> list[dict[str, Any]]:
        if group["momentum"] == 0:
            return [{}] * len(params)  # nothing is kept
        return [self.state[p] for p in params]
