"""Reference optimizers, to be read. The first function is the whole idea; the rest is options.

From simple to complex: `sgd_update` (one parameter, one step), `SGD` (a network, a training).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT


def sgd_update(
    param: Tensor,
    grad: Tensor,
    state: dict[str, Any],
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Move one parameter by its gradient, in place. With every option off it is the last line."""
    if maximize:
        grad = -grad
    if weight_decay != 0:
        grad = grad.add(param, alpha=weight_decay)
    if momentum != 0:
        buf = state.get("momentum_buffer")
        if buf is None:
            buf = state["momentum_buffer"] = grad.clone()  # the first step is not dampened
        else:
            buf.mul_(momentum).add_(grad, alpha=1 - dampening)
        grad = grad.add(buf, alpha=momentum) if nesterov else buf
    param.add_(grad, alpha=-lr)


class SGD(Optimizer):
    r"""Stochastic gradient descent, written to be read, equal to torch's to the last bit.

    With gradient :math:`g_t`, parameter :math:`p_t` and learning rate :math:`\eta`, one step is
    :math:`p_{t+1} = p_t - \eta g_t`. The options change what stands in place of :math:`g_t`, in
    this order: `maximize` makes it :math:`-g_t`; `weight_decay` :math:`\lambda` adds
    :math:`\lambda p_t`; `momentum` :math:`\mu` with `dampening` :math:`\tau` puts the buffer
    :math:`b_t = \mu b_{t-1} + (1 - \tau) g_t` there, with :math:`b_1 = g_1`; `nesterov` puts
    :math:`g_t + \mu b_t` there instead.

    Equal, bit for bit, to `torch.optim.SGD(foreach=False)`: same operations, same order. Momentum
    is torch's form, which leaves the learning rate outside the buffer; Sutskever et al. keep it
    inside, and the two differ as soon as the learning rate changes.

    Args:
        params: Parameters, groups of them as dicts, or (name, parameter) pairs, as for
            `torch.optim.SGD`.
        lr: Learning rate, 0 or more.
        momentum: Momentum factor, 0 or more.
        dampening: Dampening of the gradient on its way into the buffer.
        weight_decay: L2 penalty, 0 or more.
        nesterov: Nesterov momentum; needs a momentum above 0 and no dampening.
        maximize: Climb instead of descend.

    Raises:
        ValueError: If an option is out of its range, in the constructor or in a parameter group.

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

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        _check_sgd(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, checked as the constructor's are."""
        if isinstance(param_group, dict):  # anything else is refused below, in torch's own words
            _check_sgd({**self.defaults, **param_group})
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; one whose `.grad` is None stays where it is.

        Args:
            closure: Computes the loss again and returns it, with gradients enabled.

        Returns:
            What the closure returned, or None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            options = {name: group[name] for name in _SGD_OPTIONS}
            for param in group["params"]:
                if param.grad is not None:
                    state = self.state[param] if group["momentum"] != 0 else {}
                    sgd_update(param, param.grad, state, **options)
        return loss


_SGD_OPTIONS = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")


def _check_sgd(options: dict[str, Any]) -> None:
    if isinstance(options["lr"], Tensor) and options["lr"].numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, not {tuple(options['lr'].shape)}")
    # Each message begins with torch's own words, then says what would do.
    for name, words in (
        ("lr", "learning rate"),
        ("momentum", "momentum value"),
        ("weight_decay", "weight_decay value"),
    ):
        if not options[name] >= 0:  # written so that NaN fails too
            raise ValueError(f"Invalid {words}: {options[name]}; {name} must be 0 or more")
    if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
        raise ValueError(
            "Nesterov momentum requires a momentum and zero dampening; "
            f"got momentum={options['momentum']}, dampening={options['dampening']}. "
            "Try momentum=0.9, dampening=0"
        )
