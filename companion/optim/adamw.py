"""AdamW: Adam with one option set."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from companion.optim.adam import Adam
from companion.optim.reference import ParamsT


class AdamW(Adam):
    r"""AdamW, written to be read: `torch.optim.AdamW`, bit for bit.

    Adam with the weight decay decoupled from the gradient: the parameter first shrinks to
    :math:`(1 - \eta \lambda) p_t`, then moves as Adam without weight decay would move it. In Adam
    :math:`\lambda p_t` goes through the averages, so a number with large gradients hardly decays.

    Options, errors and differences from torch's are those of `Adam`; `weight_decay` is 0.01 unless
    given. As in torch, a state dict that `Adam` saved goes on as AdamW here.

    Example:
        >>> import torch
        >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        >>> optimizer = AdamW([p], lr=0.5, weight_decay=0.1)
        >>> p.grad = torch.zeros(2)
        >>> optimizer.step()
        >>> p.data  # no gradient to follow: each number shrank by 0.5 * 0.1 of itself
        tensor([0.9500, 1.9000])

    Source:
        torch.optim.AdamW (https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html);
        Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019
        (https://arxiv.org/abs/1711.05101).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # also after loading what Adam saved, as in torch
            group["decoupled_weight_decay"] = True
