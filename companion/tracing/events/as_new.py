"""Whether a network is as torch has made it: told by its values, as nothing else remembers that."""

from __future__ import annotations

import math

from torch import Tensor, nn

from companion.tracing.measure.modules import named_modules, own_parameters
from companion.tracing.measure.values import has_values, is_lazy, is_plain, kernels_alone

_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MOST = 2**22  # entries of a parameter that is read


def is_as_new(network: nn.Module) -> bool:
    """Whether all layers have values such as they begin with; False where that is not known.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4))
        >>> is_as_new(net)
        True
        >>> _ = nn.init.orthogonal_(net[0].weight)
        >>> is_as_new(net)
        False
    """
    layers = [one for _, one in named_modules(network) if own_parameters(one)]
    return all(map(_is_new, layers))


def _is_new(layer: nn.Module) -> bool:
    own = {name: p for name, p in own_parameters(layer).items() if p is not None}
    if own.keys() - {"weight", "bias"} or not all(map(_can_be_read, own.values())):
        return False
    with kernels_alone():
        if type(layer) in _LINEAR and "weight" in own:
            limit = 1 / math.sqrt(own["weight"][0].numel())  # torch draws them from within
            return all(p.detach().abs().max().item() <= 1.0001 * limit for p in own.values())
        ones = {"weight": 1.0, "bias": 0.0}
        return type(layer) in _NORMS and all(
            bool((p.detach() == ones[name]).all()) for name, p in own.items()
        )


def _can_be_read(p: Tensor) -> bool:
    plain = is_plain(p) and not is_lazy(p) and has_values(p)
    return plain and p.is_floating_point() and 0 < p.numel() <= MOST
