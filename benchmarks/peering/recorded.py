"""The first batch of each network in a script, and the loss that is made of its output.

Whoever tests a model by one batch has these at hand. Here the script is run once, and they are
taken from its calls: the inputs of a network's first forward, and the first of torch's losses
whose first argument is that output.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import functional as F

from peering.objects import pairs

LOSSES = [
    "cross_entropy",
    "nll_loss",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
]


def batches(run: Callable[[Callable[..., None]], object]) -> dict[int, dict[str, Any]]:
    """What `check_model` takes besides network and optimizer, by the network's place."""
    found: dict[int, dict[str, Any]] = {}
    outputs: dict[int, int] = {}  # of a network's first forward, by the tensor
    kept: list[object] = []  # so that no other tensor has its id

    def forward(place: int, module: Any, inputs: Any, named: Any, output: Any) -> None:
        if place not in found:
            found[place] = {"inputs": copy.deepcopy(named or inputs)}
            if isinstance(output, torch.Tensor):
                outputs[id(output)] = place
                kept.append(output)

    def watch(*given: object) -> None:
        for place, (net, _) in enumerate(pairs(given)):
            net.register_forward_hook(functools.partial(forward, place), with_kwargs=True)

    def noting(loss: Callable[..., Any]) -> Callable[..., Any]:
        def noted(output: Any, target: Any = None, *more: Any, **named: Any) -> Any:
            place = outputs.pop(id(output), None)
            if place is not None and isinstance(target, torch.Tensor):
                found[place]["targets"] = target.detach().clone()
                found[place]["loss_fn"] = lambda one, other: loss(one, other, *more, **named)
            return loss(output, target, *more, **named)

        return noted

    there = {name: noting(getattr(F, name)) for name in LOSSES}
    with patch.dict(vars(F), there):
        run(watch)
    return found
