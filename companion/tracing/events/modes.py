"""Which modules of a network do something else in the other mode."""

from __future__ import annotations

from torch import nn

from companion.isolation.objects import attributes, is_a
from companion.tracing.measure.modules import is_training, named_modules, parameters

# Modules whose forward differs between train() and eval().
_MODAL = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd, nn.RReLU, nn.RNNBase)


def modal_kinds(net: nn.Module, *, training: bool) -> tuple[str, ...]:
    """The kinds of modules in this mode that do something else in the other one.

    None in a network in eval mode with a part in training mode, or whose parameters do not learn:
    that is a backbone kept as it is on purpose. None where statistics are made anew.
    """
    modules = [module for _, module in named_modules(net)]
    if training and any(map(_is_counting_anew, modules)):
        return ()
    if not training and any(map(is_training, modules)):
        return ()
    kinds = (
        type(m).__name__
        for m in modules
        if is_training(m) == training
        and issubclass(type(m), _MODAL)
        and _is_modal(m)
        and (training or _learns(m))
    )
    return tuple(dict.fromkeys(kinds))


def _is_counting_anew(module: nn.Module) -> bool:
    """Whether a norm takes the mean of all batches: statistics made anew, as by update_bn."""
    kept = attributes(module)
    return is_a(module, nn.modules.batchnorm._NormBase) and kept.get("momentum", 0) is None


def _is_modal(module: nn.Module) -> bool:
    kept = attributes(module)
    if is_a(module, nn.RNNBase):
        return _positive(kept.get("dropout"))
    if is_a(module, nn.modules.batchnorm._NormBase):
        return kept.get("track_running_stats") is True
    return _positive(kept.get("p", 1))


def _positive(number: object) -> bool:
    return (is_a(number, float) or is_a(number, int)) and number > 0


def _learns(module: nn.Module) -> bool:
    """Whether a module has no parameters, or one that requires a gradient."""
    found = list(parameters(module))
    return not found or any(p.requires_grad for p in found)
