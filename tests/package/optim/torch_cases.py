"""PyTorch's own optimizer cases, which its wheel brings along, made to drive ours.

Importing them loads a hypothesis profile of PyTorch's: this puts the default one back.
"""

from __future__ import annotations

from typing import Any

import hypothesis
import torch
from torch.testing._internal.common_optimizers import (
    OptimizerErrorEnum,
    OptimizerInfo,
    _get_optim_inputs_including_global_cliquey_kwargs,
    optim_db,
)

import companion

__all__ = ["INFOS", "OptimizerErrorEnum", "inputs"]

hypothesis.settings.load_profile("default")


def info(name: str) -> Any:
    """PyTorch's description of its optimizer, with ours in its place and without `fused`."""
    theirs = next(entry for entry in optim_db if entry.name == name)
    return OptimizerInfo(
        getattr(companion, name),
        optim_inputs_func=theirs.optim_inputs_func,
        optim_error_inputs_func=theirs.optim_error_inputs_func,
        scheduler_inputs=theirs.scheduler_inputs,
        supported_impls=tuple(path for path in theirs.supported_impls if path != "fused"),
        not_og_supported_flags=theirs.not_og_supported_flags,
        supports_sparse=theirs.supports_sparse,
        metadata_for_sparse=theirs.metadata_for_sparse,
    )


INFOS = {name: info(name) for name in ("SGD", "Adam", "AdamW")}


def inputs(name: str, dtype: torch.dtype = torch.float32) -> list[dict[str, Any]]:
    """The options of all its cases, with every path; PyTorch tries foreach on GPUs only."""
    found = _get_optim_inputs_including_global_cliquey_kwargs("cpu", dtype, INFOS[name])
    options = [case.kwargs for case in found]
    loops = [o for o in options if not o["differentiable"]]
    foreach = [{**o, "foreach": True} for o in loops if name == "SGD" or not tensors(o)]
    return [{"foreach": False, **o} for o in options] + foreach


def tensors(options: dict[str, Any]) -> bool:
    return any(isinstance(value, torch.Tensor) for value in options.values())
