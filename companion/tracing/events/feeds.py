"""What a criterion is fed with: told when it is called, from the graph and a few of the values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import is_a
from companion.records.line import Event
from companion.tracing.events.criterion import SQUEEZES, dim_of, feeding, log_softmax
from companion.tracing.events.graph import Node, grad_fn, shape_of
from companion.tracing.measure.values import has_values

MOST = 2**18  # entries of a tensor that are looked at
_MODULES = nn.Module.__call__.__code__.co_filename, nn.modules.loss.__file__

# What leaves scores as they are made: no log-probability comes straight out of these.
_RAW = {f"{name}Backward0" for name in (
    "Addmm", "Mm", "Bmm", "Baddbmm", "Addmv", "Mv", "Linear", "Convolution", "Relu", "LeakyRelu",
    "Tanh", "Gelu", "Silu", "Elu", "NativeBatchNorm", "CudnnBatchNorm", "NativeLayerNorm",
)}  # fmt: skip
_SCALES = {"DivBackward0", "MulBackward0"}  # by a number, such as a temperature


def is_shown(value: object) -> TypeGuard[Tensor]:
    """Whether a value is a tensor whose entries may be asked for."""
    if not is_a(value, Tensor) or not has_values(value) or value.is_nested:
        return False
    return _HAS_NAMES is None or not _HAS_NAMES(value)


# Dimensions had names once; few functions could do with them.
_HAS_NAMES: Callable[[Tensor], bool] | None = getattr(Tensor, "has_names", None)


def _is_dense(value: object) -> TypeGuard[Tensor]:
    return (
        is_shown(value)
        and value.layout == torch.strided
        and value.is_floating_point()
        and not value.is_quantized
        and value.itemsize > 1
        and value.numel() > 0
    )


def line_of_caller(frame: FrameType) -> int:
    """The line that calls a criterion; 0 where it is a library's.

    A module of torch's own may stand between, such as `nn.MSELoss()`.
    """
    outer = frame.f_back
    while outer is not None and outer.f_code.co_filename in _MODULES:
        outer = outer.f_back
    if outer is None or is_in_library(outer.f_code.co_filename):
        return 0
    return outer.f_lineno or 0


def fed(local: Mapping[str, Any], frame: FrameType) -> Event | None:
    """A criterion is called with what it does not take; None where nothing is wrong with that."""
    name = frame.f_code.co_name
    x, target = local["log_probs" if name == "ctc_loss" else "input"], local.get("target")
    if not _is_dense(x) or not x.dim() or not torch.is_grad_enabled():
        return None
    if not x.requires_grad and not (is_shown(target) and target.requires_grad):
        return None
    found = _READERS[name](x, target, local)
    if found is None:
        return None
    kind, details = found
    if details.get("by") == "scores" and _normalises(frame.f_back):
        return None
    return Event(kind, name, {**details, "line": line_of_caller(frame)})


def _normalises(frame: FrameType | None) -> bool:
    """Whether the code that calls a criterion has a log-sum-exp of its own to add to it."""
    while frame is not None and frame.f_code.co_filename in _MODULES:
        frame = frame.f_back
    names = frame.f_code.co_names if frame is not None else ()
    return any(own in names for own in ("logsumexp", "logcumsumexp")) or (
        "exp" in names and "log" in names
    )


Found = tuple[str, dict[str, Any]]


def _nll(x: Tensor, target: object, local: Mapping[str, Any]) -> Found | None:
    """What `nll_loss` takes are log-probabilities, normalised over the classes."""
    if local.get("reduction") not in ("mean", "sum"):
        return None  # each of its own weight: the probability of what was drawn, say
    classes = 1 if x.dim() > 1 else 0
    if x.shape[classes] < 2:
        return None
    return _likelihood(x, target, classes)


def _ctc(x: Tensor, target: object, local: Mapping[str, Any]) -> Found | None:
    """What `ctc_loss` takes are log-probabilities, whose classes stand last."""
    return _likelihood(x, target, x.dim() - 1)


def _likelihood(x: Tensor, target: object, classes: int) -> Found | None:
    """Log-probabilities over this dimension are right; anything else is told."""
    rows, node = _rows(x, classes), feeding(grad_fn(x))
    by = SQUEEZES.get(_name(node))
    if by is None and _are_distributions(rows):
        by = "probabilities"
    if by is None and _name(node) in _RAW and bool(rows.max() > 1e-3):
        by = "scores"
    if by is not None:
        return "fed", {"by": by, "dim": classes}
    return _across(x, target, classes, node)


def _cross_entropy(x: Tensor, target: object, local: Mapping[str, Any]) -> Found | None:
    """What `cross_entropy` takes may be log-probabilities, too; and its targets distributions."""
    classes = 1 if x.dim() > 1 else 0
    if x.shape[classes] < 2:
        return None
    bare = local.get("reduction") in ("mean", "sum") and local["weight"] is None
    if bare and _is_dense(target) and target.shape == x.shape and not target.requires_grad:
        rows = _rows(target, classes)
        sums = rows.sum(1)
        # Advantages in the place of a 1, margins and the like leave zeros, or equal sums.
        if bool(rows.min() < -1e-3) and bool((rows != 0).all()) and bool(sums.std() > 1e-2):
            return "fed", {"by": "target scores", "dim": classes}
    return _across(x, target, classes, feeding(grad_fn(x)))


def _bce(x: Tensor, target: object, local: Mapping[str, Any]) -> Found | None:
    """Targets between 0 and 1; and a sigmoid is noted, with whether its loss can be foretold."""
    bare = local["weight"] is None and local.get("reduction") in ("mean", "sum")
    if bare and _is_dense(target) and not target.requires_grad:
        few = target.detach().flatten()[:MOST]
        low, high = few.min().item(), few.max().item()
        # Noisy labels of GANs are meant to go to 1.2; what is masked has a weight, or no mean.
        if math.isfinite(low) and math.isfinite(high) and (low <= -0.5 or high >= 1.75):
            return "fed", {"by": "targets", "range": f"{low:.4g} to {high:.4g}"}
    if "pos_weight" not in local:
        return apart(x, target)
    if _name(feeding(grad_fn(x))) not in SQUEEZES:
        return None
    plain = bare and local["pos_weight"] is None and local["reduction"] == "mean"
    return "fed", {"by": "sigmoid", "plain": plain}


def _kl(x: Tensor, target: object, local: Mapping[str, Any]) -> Found | None:
    """What `kl_div` takes are log-probabilities first, and probabilities as its target."""
    node = feeding(grad_fn(x))
    by = SQUEEZES.get(_name(node))
    last = x.dim() - 1
    dims = sorted({min(1, last), last})
    if by is None and any(_are_distributions(_rows(x, dim)) for dim in dims):
        by = "probabilities"
    if by is not None:
        ran = dim_of(node) if node is not None and shape_of(node) == tuple(x.shape) else None
        return "fed", {"by": by, "dim": ran or last}
    if not _is_dense(target) or target.shape != x.shape or target.requires_grad:
        return None
    sums = [dim for dim in dims if _are_distributions(_rows(target, dim))]
    if sums and local.get("log_target") is True:
        return "fed", {"by": "target probabilities", "dim": sums[-1]}
    is_raw = bool(sums) and _name(_unscaled(node)) in _RAW
    if is_raw and not any(_are_logs(_rows(x, dim)) for dim in dims):
        return "fed", {"by": "scores", "dim": sums[-1]}
    if local.get("log_target") is False and log_softmax(node) is not None:
        return _apart(x, target, _are_logs)
    return None


def apart(x: object, target: object) -> Found | None:
    """Probabilities that are compared with others, such as a 1 for the class of each example."""
    if not _is_dense(x) or not _is_dense(target) or x.shape != target.shape:
        return None
    if not x.requires_grad or target.requires_grad or not torch.is_grad_enabled():
        return None
    is_softmax = _name(feeding(grad_fn(x))) == "SoftmaxBackward0"
    return _apart(x, target, _are_distributions) if is_softmax else None


def _apart(x: Tensor, target: Tensor, are: Callable[[Tensor], bool]) -> Found | None:
    """What is normalised over another dimension than what it is compared with."""
    if x.numel() > MOST or x.dim() != 2 or x.shape[0] == x.shape[1] or 1 in x.shape:
        return None
    logs = [are(_rows(x, dim)) for dim in (0, 1)]
    sums = [_are_distributions(_rows(target, dim)) for dim in (0, 1)]
    if [logs, sums] == [[True, False], [False, True]]:
        of = "input" if are is _are_distributions else ""
    elif [logs, sums] == [[False, True], [True, False]]:
        of = "target"
    else:
        return None
    return "across", {"dim": 0, "classes": 1, "shape": tuple(x.shape), "of": of}


def _across(x: Tensor, target: object, classes: int, node: Node | None) -> Found | None:
    """A log_softmax that ran over another dimension than the one the criterion looks along."""
    softmax = log_softmax(node)
    if softmax is None or x.dim() < 2:
        return None
    if x.numel() > MOST:  # then the graph must tell
        ran = dim_of(softmax) if grad_fn(x) is softmax else None
        wrong = ran is not None and ran != classes and x.shape[0] != x.shape[1]
        return (
            ("across", {"dim": ran, "classes": classes, "shape": tuple(x.shape)}) if wrong else None
        )
    others = [dim for dim in range(x.dim()) if dim != classes]
    exact = _exact(x.detach()).exp()
    if _are_ones(exact.sum(classes), x):
        return None
    over = next((dim for dim in others if _are_ones(exact.sum(dim), x)), None)
    if over is None or _is_pairing(x, target):
        return None
    return "across", {"dim": over, "classes": classes, "shape": tuple(x.shape)}


def _is_pairing(x: Tensor, target: object) -> bool:
    """Whether each row's own column is its label: as in CLIP, both directions are meant."""
    if x.dim() != 2 or x.shape[0] != x.shape[1] or not is_shown(target):
        return False
    if target.shape != x.shape[:1]:
        return True
    return bool((target == torch.arange(len(target), device=target.device)).all())


def _exact(x: Tensor) -> Tensor:
    return x.float() if x.itemsize < 4 else x


def _name(node: Node | None) -> str:
    return "" if node is None else node.name()


def _unscaled(node: Node | None) -> Node | None:
    """What was scaled by a number, or by something else without a graph."""
    for _ in range(4):
        if node is None or node.name() not in _SCALES or node.next_functions[-1][0] is not None:
            break
        node = feeding(node.next_functions[0][0])
    return node


def _rows(x: Tensor, dim: int) -> Tensor:
    """A few of a tensor's entries as rows, each of them whole along a dimension."""
    left = max(1, MOST // max(1, x.shape[dim]))
    x = x.detach()
    for other in range(x.dim()):
        if other != dim:
            x = x.narrow(other, 0, min(x.shape[other], left))
            left = max(1, left // max(1, x.shape[other]))
    return _exact(x.movedim(dim, -1).reshape(-1, x.shape[dim]))


def _slack(x: Tensor) -> float:
    return 1e-3 if x.itemsize >= 4 else 3e-2


def _are_ones(sums: Tensor, x: Tensor) -> bool:
    return bool(((sums - 1).abs() < _slack(x)).all())


def _are_distributions(rows: Tensor) -> bool:
    """Whether each row has only entries from 0 to 1, and their sum is 1."""
    if rows.shape[1] < 2 or not bool((rows >= 0).all()):
        return False
    return bool(((rows.sum(1) - 1).abs() < 1e-2).all())


def _are_logs(rows: Tensor) -> bool:
    """Whether each row has the logarithms of such entries."""
    return bool(((rows.exp().sum(1) - 1).abs() < 1e-2).all())


_READERS = {
    "nll_loss": _nll,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _bce,
    "binary_cross_entropy_with_logits": _bce,
    "kl_div": _kl,
    "ctc_loss": _ctc,
}
CRITERIA = tuple(_READERS)
