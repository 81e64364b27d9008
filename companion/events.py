"""Calls of torch that a line makes: recognised as Python calls them, from the frame that begins.

Nothing is patched. A trace sees every call of a Python function; the few that matter here are
told by their code object, and their arguments are read from their frame. What an optimizer's
step does is told by its own step hook (see `companion.follow`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FrameType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad
from torch.optim import lr_scheduler
from torch.optim.optimizer import Optimizer

from companion.graphs import Node, below, shape_of
from companion.records import Event

Names: TypeAlias = Mapping[int, str]  # id of a watched network or optimizer → its name
Recogniser: TypeAlias = Callable[[Mapping[str, Any], FrameType, Names], Event | None]

MOST_NODES = 20_000  # of a graph, when its size is asked for
NEAR = 40  # nodes below the loss, when its shape is asked for

# Modules whose forward differs between train() and eval().
_MODAL = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd, nn.RReLU, nn.RNNBase)


def _forward(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event | None:
    net = local["self"]
    if id(net) not in names:
        return None
    graded = torch.is_grad_enabled()
    if not graded and _is_recomputed_later(frame):
        return None
    details = {"grad": graded, "training": net.training, "modal": ()}
    if graded != net.training:  # trained in eval mode, or evaluated in train mode
        details["modal"] = _modal(net, training=net.training)
    return Event("forward", names[id(net)], details)


def _is_recomputed_later(frame: FrameType | None) -> bool:
    """Whether a forward without gradients is that of a checkpoint, which runs again in backward."""
    for _ in range(12):
        if frame is None:
            return False
        if frame.f_globals.get("__name__") == "torch.utils.checkpoint":
            return True
        frame = frame.f_back
    return False


def _modal(net: nn.Module, *, training: bool) -> tuple[str, ...]:
    """The kinds of modules in this mode that do something else in the other one.

    None in a network in eval mode with a part in training mode, or whose parameters do not learn:
    that is a backbone kept as it is on purpose.
    """
    if not training and any(m.training for m in net.modules()):
        return ()
    kinds = (
        type(m).__name__
        for m in net.modules()
        if m.training == training
        and isinstance(m, _MODAL)
        and _is_modal(m)
        and (training or _learns(m))
    )
    return tuple(dict.fromkeys(kinds))


def _is_modal(module: nn.Module) -> bool:
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return module.track_running_stats
    return getattr(module, "p", 1) > 0


def _learns(module: nn.Module) -> bool:
    """Whether a module has no parameters, or one that requires a gradient."""
    parameters = list(module.parameters())
    return not parameters or any(p.requires_grad for p in parameters)


def _backward(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event:
    tensors = local["tensors"]
    roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    roots = [root for root in roots if isinstance(root, Tensor)]
    retained = bool(local.get("retain_graph"))
    pair = next((found for found in map(_pair, roots) if found[0]), (None, None))
    return Event(
        "backward",
        "",
        {
            "mean": len(roots) == 1 and _is_mean(roots[0]),
            "twice": pair[0],
            "classes": pair[1],
            "cut": bool(roots) and all(root.is_leaf for root in roots),
            "nodes": _nodes(roots) if retained else None,
            "inputs": local.get("inputs") is not None,
        },
    )


def _is_mean(loss: Tensor) -> bool:
    """Whether a loss comes straight out of a criterion that takes the mean."""
    node = loss.grad_fn
    return node is not None and getattr(node, "_saved_reduction", None) == 1


# What a criterion does itself → what should not come before it, each by autograd's own name.
_TWICE = {
    "LogSoftmaxBackward0": ("SoftmaxBackward0", "softmax"),
    "BinaryCrossEntropyWithLogitsBackward0": ("SigmoidBackward0", "sigmoid"),
}
_LOOKS_ONLY = {"ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0", "SqueezeBackward0",
               "SqueezeBackward1", "UnsqueezeBackward0", "ToCopyBackward0", "TransposeBackward0",
               "PermuteBackward0", "TBackward0", "ExpandBackward0"}  # fmt: skip


def _pair(loss: Tensor) -> tuple[str | None, int | None]:
    """Such as "softmax", where one stands right below the criterion's own, and how many classes."""
    for node in below([loss.grad_fn], NEAR):
        name, what = _TWICE.get(node.name(), ("", None))
        under = node.next_functions[0][0] if what else None
        while under is not None and under.name() in _LOOKS_ONLY:
            under = under.next_functions[0][0]
        if under is not None and under.name() == name:
            return what, _classes(node)
    return None, None


def _classes(log_softmax: Node) -> int | None:
    """The length of the dimension that a log_softmax ran over, from its node."""
    shape, dim = shape_of(log_softmax), getattr(log_softmax, "_saved_dim", None)
    if shape is None or dim is None:
        return None
    dim = dim - 2**64 if dim >= 2**63 else dim  # it is kept unsigned
    return int(shape[dim]) if -len(shape) <= dim < len(shape) else None


def _nodes(roots: Iterable[Tensor]) -> tuple[int, int, int]:
    """How many nodes the graph below has, up to a limit; the oldest's and the newest's number.

    autograd numbers nodes as they are made; parameters have the largest number of all.
    """
    nodes = list(below((root.grad_fn for root in roots), MOST_NODES))
    numbers = [n for n in (node._sequence_nr() for node in nodes) if n < 2**63]
    return len(nodes), min(numbers, default=0), max(numbers, default=0)


def _clip(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event:
    return Event("clip", frame.f_code.co_name)


def _clear(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event | None:
    name = names.get(id(local["self"]))
    return None if name is None else Event("clear", name)


def _scale(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event | None:
    return Event("scale", "GradScaler") if local["self"].is_enabled() else None


def _unscale(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event | None:
    return Event("unscale", names.get(id(local["optimizer"]), ""))


def _scaler_step(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event | None:
    return Event("scaler step", names.get(id(local["optimizer"]), ""))


def _schedule(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event | None:
    scheduler = local["self"]
    optimizer = getattr(scheduler, "optimizer", None)
    caller = frame.f_back.f_code.co_name if frame.f_back is not None else ""
    if caller == "_initial_step" or id(optimizer) not in names:
        return None
    return Event(
        "schedule",
        names[id(optimizer)],
        {
            "scheduler": type(scheduler).__name__,
            "first": getattr(scheduler, "_step_count", 0) == 1,
            "stepped": bool(getattr(optimizer, "_opt_called", False)),
        },
    )


def _shapes(local: Mapping[str, Any], frame: FrameType, names: Names) -> Event | None:
    a, b = local["input"], local["target"]
    if local.get("reduction") == "none":
        return None
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.dim() == b.dim():
        return None
    if b.device.type == "cpu" and b.numel() and bool((b == b.flatten()[0]).all()):
        return None  # all targets are the same: broadcast or not, so is the loss
    return Event(
        "shapes", frame.f_code.co_name, {"input": tuple(a.shape), "target": tuple(b.shape)}
    )


def _codes() -> dict[int, tuple[CodeType, Recogniser]]:
    schedulers = [
        kind
        for kind in vars(lr_scheduler).values()
        if isinstance(kind, type)
        and issubclass(kind, (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau))
        and "step" in vars(kind)
    ]
    functional = nn.functional
    table: list[tuple[Any, Recogniser]] = [
        (nn.Module.__call__, _forward),
        (torch.autograd.backward, _backward),
        (Optimizer.zero_grad, _clear),
        (nn.Module.zero_grad, _clear),
        *((getattr(clip_grad, name), _clip) for name in _CLIPS if hasattr(clip_grad, name)),
        (GradScaler.scale, _scale),
        (GradScaler.unscale_, _unscale),
        (GradScaler.step, _scaler_step),
        *((kind.step, _schedule) for kind in schedulers),
        *((getattr(functional, name), _shapes) for name in _LOSSES),
    ]
    codes = {}
    for function, recogniser in table:
        code = inspect.unwrap(function).__code__
        codes[id(code)] = (code, recogniser)
    return codes


_CLIPS = ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_")
_LOSSES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
_CODES = _codes()


def recogniser_of(code: CodeType) -> Recogniser | None:
    """What tells the event from a call of this code; None for code that is none."""
    known = _CODES.get(id(code))
    return None if known is None else known[1]
