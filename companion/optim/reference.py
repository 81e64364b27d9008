"""What the reference optimizers share: everything but the update rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, _default_to_fused_or_foreach

from companion.optim.hooks import hooked_when_watched
from companion.optim.options import check_variants

ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Tensors = list[Tensor] | tuple[Tensor, ...]
Scalar = Any  # a float or a 0-dimensional tensor: torch's stubs allow only the first as a factor
Rule = Callable[..., None]  # (params, grads, states, **options)


class ReferenceOptimizer(Optimizer):
    """An optimizer whose rule is a function of parameters, gradients, states and options.

    A subclass gives the rule as a loop, in torch's foreach operations, and as autograd can follow
    it. It says which options it refuses, how a group's options reach the rule, and what is kept
    from step to step.
    """

    _loop: ClassVar[Rule]
    _foreach: ClassVar[Rule]
    _differentiable: ClassVar[Rule]
    _absent: ClassVar[dict[str, Any]]  # options that old checkpoints lack, and what torch assumes

    def _check(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _states(self, params: list[Tensor], group: dict[str, Any]) -> list[dict[str, Any]]:
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, checked as the constructor's are."""
        if isinstance(param_group, dict):  # anything else is refused below, in torch's own words
            self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)

    @hooked_when_watched
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
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                if not params:
                    continue
                self._check_step(group, params)
                if self._uses_foreach(group, params):
                    for alike in by_kind(params):
                        self._apply(self._foreach, alike, group)
                elif group["differentiable"]:
                    self._apply(self._differentiable, params, group)
                else:
                    self._apply(self._loop, params, group)
        return loss

    def _check_step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Raise an error if the parameters of a group cannot be moved, before any of them is."""
        check_variants({"fused": group["fused"]}, type(self).__name__)  # it may have been set since

    def _apply(self, rule: Rule, params: list[Tensor], group: dict[str, Any]) -> None:
        grads = [p.grad for p in params]
        rule(params, grads, self._states(params, group), **self._options(group))

    def _uses_foreach(self, group: dict[str, Any], params: list[Tensor]) -> bool:
        """The user's choice, else torch's own: foreach where all parameters are on a GPU."""
        if group["foreach"] is None and group["fused"] is None:
            return _default_to_fused_or_foreach(params, group["differentiable"])[1]
        return bool(group["foreach"])

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Called for a copy, a pickle, and by `load_state_dict`."""
        for group in state.get("param_groups", []):
            try:
                check_variants(group, type(self).__name__)
            except ValueError as error:
                where = "It was saved so; set it to False in the state dict's param_groups"
                raise ValueError(f"{error}. {where}") from None
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._absent.items():
                group.setdefault(name, value)


def by_kind(params: list[Tensor]) -> list[list[Tensor]]:
    """The parameters grouped by device and dtype, as the foreach kernels want them."""
    kinds = defaultdict(list)
    for p in params:
        kinds[p.device, p.dtype].append(p)
    return list(kinds.values())


def decayed(grad: Tensor, param: Tensor, weight_decay: Scalar) -> Tensor:
    """The gradient of loss + weight_decay / 2 * param², from the gradient of the loss."""
    if isinstance(weight_decay, Tensor):  # its own gradient is wanted: an operand, not a factor
        return grad.addcmul(param.clone(), weight_decay)
    return grad.add(param, alpha=weight_decay)


def plus(grads: Tensors, others: Tensors, factor: float, given: Tensors) -> Tensors:
    """`grads + factor * others`, in place unless these are the gradients that were given."""
    if grads is given:
        return torch._foreach_add(grads, others, alpha=factor)
    torch._foreach_add_(grads, others, alpha=factor)
    return grads


AVERAGES = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


def as_real(
    param: Tensor, grad: Tensor, state: dict[str, Any]
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Views in which a complex number is two real ones, each with averages of its own."""
    averages = {name: torch.view_as_real(state[name]) for name in AVERAGES if name in state}
    return torch.view_as_real(param), torch.view_as_real(grad), averages


def like(beta: Scalar, other: Tensor) -> Scalar:
    """A tensor beta cast to the device and dtype of another tensor; a plain one as it is."""
    return beta.to(other) if isinstance(beta, Tensor) else beta
