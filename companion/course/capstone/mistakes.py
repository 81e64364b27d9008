"""SGD with one thing wrong: what a reader's optimizer is compared with to say what is wrong in it.

Each has a name, the hint that is given for it, and a line in `Mistaken`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from companion.course.capstone.playing import Make

HINTS = {
    "uphill": "each step goes uphill: what is the sign of lr?",
    "first dampened": "the first gradient enters the buffer as it is: "
    "dampening begins with the second step",
    "dampening twisted": "a gradient enters the buffer times 1 - dampening",
    "no dampening": "dampening changes nothing in your step",
    "average": "that buffer is a running average; without dampening it is a sum",
    "rate in buffer": "the learning rate stays out of the buffer",
    "newest alone": "p moves by the newest gradient alone: where is the buffer?",
    "decay after": "weight decay comes before the buffer, so that it has momentum too",
    "decay in part": "Nesterov adds the buffer to the gradient with its weight decay",
    "no decay": "weight decay changes nothing in your step",
    "no nesterov": "nesterov: after the buffer, add momentum times the buffer to the gradient",
    "no gradient": "nesterov: the gradient itself counts too, not the buffer alone",
    "nesterov always": "that is Nesterov's step, also where nesterov is False",
    "no maximize": "maximize turns the sign of the gradient",
    "decay turned": "maximize turns the gradient only: it comes before the weight decay",
    "zeros skipped": "a gradient of zeros is a gradient: the buffer still moves p",
    "None as zeros": "a parameter whose gradient is None is left alone, and so is its buffer",
}


class Mistaken(torch.optim.SGD):
    """`torch.optim.SGD`, with a step to read and one mistake in it."""

    mistake = ""

    def step(self, closure: Any = None) -> Any:
        """Move each parameter; no closure is called."""
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    self._move(p, self.state[p], group)

    def _move(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        wrong, lr, decay = self.mistake, float(group["lr"]), group["weight_decay"]
        grad = p.grad
        if grad is None and wrong == "None as zeros" and "momentum_buffer" in state:
            grad = torch.zeros_like(p)
        if grad is None or (wrong == "zeros skipped" and not grad.any()):
            return
        given = grad
        if group["maximize"] and wrong not in ("no maximize", "decay turned"):
            grad = -grad
        if decay and wrong not in ("no decay", "decay after"):
            grad = grad.add(p, alpha=decay)
        if group["maximize"] and wrong == "decay turned":
            grad = -grad
        if group["momentum"]:
            grad = self._with_momentum(grad, given, state, group)
        if decay and wrong == "decay after":
            grad = grad.add(p, alpha=decay)
        if wrong == "rate in buffer" and group["momentum"]:
            lr = 1.0
        p.add_(grad, alpha=lr if wrong == "uphill" else -lr)

    def _with_momentum(
        self, grad: Tensor, given: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> Tensor:
        wrong, momentum = self.mistake, float(group["momentum"])
        share = 1 - group["dampening"]
        buf: Tensor | None = state.get("momentum_buffer")
        if wrong == "dampening twisted":
            share = group["dampening"]
        if wrong == "no dampening":
            share = 1
        if wrong == "average":
            share = 1 - momentum
        if wrong == "rate in buffer":
            grad = grad * float(group["lr"])
        if buf is None and wrong == "first dampened":
            buf = torch.zeros_like(grad)
        if buf is None:
            buf = grad.clone()
        else:
            buf.mul_(momentum).add_(grad, alpha=share)
        state["momentum_buffer"] = buf
        if wrong == "newest alone":
            return grad
        if wrong == "no nesterov" or not (group["nesterov"] or wrong == "nesterov always"):
            return buf
        if wrong == "no gradient":
            return buf * momentum
        return (given if wrong == "decay in part" else grad).add(buf, alpha=momentum)


def with_one(mistake: str) -> Make:
    """The class that makes this mistake.

    >>> p = torch.nn.Parameter(torch.ones(1))
    >>> p.grad = torch.ones(1)
    >>> with_one("uphill")([p], lr=0.5).step()
    >>> p.item()
    1.5
    """
    return type("Mistaken", (Mistaken,), {"mistake": mistake})
