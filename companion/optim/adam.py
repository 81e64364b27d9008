"""Adam: the rule, and the class.

Every operation and their order are those of torch.optim.Adam; `inspect.getsource` shows it. The
rule's other two forms stand in `companion.optim.adam_forms`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from companion.optim.adam_forms import adam_differentiable, adam_foreach
from companion.optim.options import (
    check_betas,
    check_number,
    check_variants,
    refuse_tensors,
    scalar,
)
from companion.optim.reference import (
    ParamsT,
    ReferenceOptimizer,
    Scalar,
    as_real,
    like,
)


def adam(
    params: list[Tensor],
    grads: list[Tensor],
    states: list[dict[str, Any]],
    *,
    lr: Scalar,
    betas: tuple[Scalar, Scalar],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    maximize: bool,
    decoupled_weight_decay: bool,
) -> None:
    """Move each parameter by its mean gradient over the root of its mean squared gradient."""
    beta1, beta2 = betas
    divide = Tensor.div if isinstance(beta2, Tensor) else Tensor.div_  # in place if dtypes allow
    one = torch.ones((), dtype=states[0]["step"].dtype, device="cpu")  # a number would be slower
    for param, grad, state in zip(params, grads, states, strict=True):
        step = state["step"].add_(one).item()
        if maximize:
            grad = -grad
        if weight_decay != 0:
            if decoupled_weight_decay:  # AdamW
                param.mul_(1 - lr * weight_decay)
            else:
                grad = grad.add(param, alpha=weight_decay)
        if param.is_complex():
            param, grad, state = as_real(param, grad, state)

        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        exp_avg.lerp_(grad, 1 - like(beta1, exp_avg))  # beta1 * exp_avg + (1 - beta1) * grad
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if amsgrad:
            largest = state["max_exp_avg_sq"]
            exp_avg_sq = torch.maximum(largest, exp_avg_sq, out=largest)

        denom = divide(exp_avg_sq.sqrt(), (1 - beta2**step) ** 0.5).add_(eps)
        param.addcdiv_(exp_avg, denom, value=-lr / (1 - beta1**step))


class Adam(ReferenceOptimizer):
    r"""Adam, written to be read: `torch.optim.Adam`, bit for bit.

    Two running averages are kept for every number, of its gradient :math:`g_t` and of the
    gradient's square, and both start at 0:

    .. math::
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2.

    Having started at 0, they are too small by the factors :math:`1 - \beta^t`, which are divided
    out (bias correction), and the step is

    .. math::
        p_{t+1} = p_t - \eta \, \frac{m_t / (1 - \beta_1^t)}
                                     {\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \epsilon}.

    `maximize` begins with :math:`-g_t`; `weight_decay` :math:`\lambda` then adds
    :math:`\lambda p_t` to the gradient, or, if decoupled, first shrinks the parameter to
    :math:`(1 - \eta \lambda) p_t` and leaves the gradient alone; `amsgrad` puts the largest
    :math:`v` so far in place of :math:`v_t`.

    Takes the place of `torch.optim.Adam` in a script: same options, same state, same numbers to the
    last bit, path by path: `foreach=False` equals torch's loop, `foreach=True` torch's foreach
    path, `differentiable=True` torch's differentiable path, and without a choice the path is the
    one torch would take. The paper's efficient form moves :math:`\sqrt{1 - \beta_2^t}` into the
    step size, and so scales :math:`\epsilon`; torch's does not, and neither does this one.

    Where it differs from torch's, on purpose:

    - Refused, in the constructor and in every parameter group that is added: infinite options, and
      in a group what torch's constructor refuses, such as a beta of 1 or a NaN. What is written
      into `param_groups` afterwards is not looked at, as in torch.
    - `foreach=True` with `differentiable=True` is refused at once; torch's fails in `step`.
    - `fused=True` and `capturable=True` are refused, also in a state dict: there is no line to read
      in a fused kernel, and a capturable step is for CUDA graphs. A `capturable` that is set in a
      group later is ignored, because `torch.compile` sets it on a GPU.
    - `amsgrad` can be switched on in a group after the first step; torch's fails with a KeyError.
    - Tensor betas without a choice of `foreach` take the loop on a GPU too; torch's fails.
    - `differentiable` with `amsgrad` works for several steps; torch's can fail in the backward.
    - torch's mark for its profiler is set only while one runs in the same thread, and a step hook
      that a closure registers is first called at the next step.
    - `torch.compile` of `step` itself breaks the graph at each parameter, and takes the numbers of
      the step that is not compiled. Compiled networks are not concerned.
    - It is a `torch.optim.Optimizer` and not a `torch.optim.Adam`, and has no `_init_group`.

    Args:
        params: Parameters, groups of them as dicts, or (name, parameter) pairs, as for
            `torch.optim.Adam`.
        lr: Learning rate, 0 or more; a number, or a 1-element tensor unless `foreach` is True.
        betas: Decay rates of the two averages, from 0 up to, but not including, 1; two floats, or
            two 1-element tensors unless `foreach` is True.
        eps: Added to the denominator, 0 or more.
        weight_decay: L2 penalty, 0 or more.
        amsgrad: Divide by the largest average square so far.
        foreach: Whether each operation runs on all parameters at once. None: True where all
            parameters are on a GPU and `lr` and `betas` are numbers, unless `differentiable` is
            True or `fused` False.
        maximize: Climb instead of descend.
        capturable: False; here to be refused with a reason.
        differentiable: Whether autograd follows the step. The parameters must not be leaves then.
        fused: None or False; here to be refused with a reason.
        decoupled_weight_decay: AdamW's weight decay.

    Raises:
        ValueError: If an option is out of its range, in the constructor or in a parameter group.
        TypeError: If an option is no number.
        RuntimeError: In `step`, for a sparse gradient.

    Example:
        >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        >>> optimizer = Adam([p], lr=0.5)
        >>> (p * p).sum().backward()  # the gradient is [2., 4.]
        >>> optimizer.step()
        >>> p.data  # both numbers moved by the learning rate
        tensor([0.5000, 1.5000])

    Source:
        torch.optim.Adam (https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html);
        Kingma, Ba: Adam: A Method for Stochastic Optimization, ICLR 2015
        (https://arxiv.org/abs/1412.6980); for `amsgrad`, Reddi, Kale, Kumar: On the Convergence of
        Adam and Beyond, ICLR 2018 (https://openreview.net/forum?id=ryQu7f-RZ).
    """

    _loop = staticmethod(adam)
    _foreach = staticmethod(adam_foreach)
    _differentiable = staticmethod(adam_differentiable)
    _absent: ClassVar = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        self._check(defaults)
        defaults["betas"] = (scalar(betas[0]), scalar(betas[1]))
        super().__init__(params, defaults)

    def _check(self, options: dict[str, Any]) -> None:
        check_number(options["lr"], "lr", "learning rate")
        check_number(options["eps"], "eps", "epsilon value")
        check_betas(options["betas"])
        check_number(options["weight_decay"], "weight_decay", "weight_decay value")
        if options["foreach"]:
            refuse_tensors(options)
        check_variants(options, type(self).__name__)

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        return {
            "lr": scalar(group["lr"]),
            "betas": (scalar(beta1), scalar(beta2)),
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
            "amsgrad": group["amsgrad"],
            "maximize": group["maximize"],
            "decoupled_weight_decay": group["decoupled_weight_decay"],
        }

    def _states(self, params: list[Tensor], group: dict[str, Any]) -> list[dict[str, Any]]:
        states = []
        for p in params:
            state = self.state[p]
            if not state:
                state["step"] = torch.tensor(0.0, dtype=step_dtype(), device="cpu")
                state["exp_avg"] = torch.zeros_like(p)
                state["exp_avg_sq"] = torch.zeros_like(p)
            if group["amsgrad"] and "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = torch.zeros_like(p)
            states.append(state)
        return states

    def _check_step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        super()._check_step(group, params)
        if any(p.grad is not None and p.grad.is_sparse for p in params):
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients, please consider "
                "SparseAdam instead: torch.optim.SparseAdam"
            )
        if group["foreach"]:
            try:
                refuse_tensors(group)
            except ValueError as error:
                raise RuntimeError(str(error)) from None  # torch's type for it, at this point
        self._check_graph_capture()

    # torch's: an error while a CUDA graph is captured, for that needs capturable=True
    if hasattr(Optimizer, "_accelerator_graph_capture_health_check"):
        _check_graph_capture = Optimizer._accelerator_graph_capture_health_check
    else:  # its older name; of some releases there is only one of the two
        _check_graph_capture = Optimizer._cuda_graph_capture_health_check

    def _uses_foreach(self, group: dict[str, Any], params: list[Tensor]) -> bool:
        """As torch chooses, but never for tensor options; who asked for that was refused before."""
        tensors = any(isinstance(value, Tensor) for value in (group["lr"], *group["betas"]))
        return not tensors and super()._uses_foreach(group, params)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for p in (p for group in self.param_groups for p in group["params"]):
            kept = self.state.get(p)
            if kept and not isinstance(kept["step"], Tensor):  # a plain number before torch 1.12
                kept["step"] = torch.tensor(float(kept["step"]), dtype=step_dtype(), device="cpu")


def step_dtype() -> torch.dtype:
    """Of the step count: torch's default dtype if that is float64, else float32."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
