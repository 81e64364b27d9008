"""Calls of torch that a line makes: recognised as Python calls them, from the frame that begins.

Nothing is patched. A trace sees every call of a Python function; the few that matter here are
told by their code object, and their arguments are read from their frame. They are the user's:
nothing is asked of them but their types, and what torch's own types know of themselves. What an
optimizer's step does is told by its own step hook (see `companion.tracing.follower`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FrameType
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad
from torch.optim import lr_scheduler
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a
from companion.measure.modules import is_training
from companion.measure.values import has_values, is_plain
from companion.records.line import Event
from companion.tracing.events.criterion import NEAR, is_mean, taken_twice
from companion.tracing.events.graph import Node, Spent, below, grad_fn, number_of
from companion.tracing.events.modes import modal_kinds


class Known(NamedTuple):
    """What a trace knows.

    Attributes:
        names: The names of what it watches, by id.
        spent: The graphs that a backward has gone through.
    """

    names: Mapping[int, str]
    spent: Spent


Recogniser: TypeAlias = Callable[[Mapping[str, Any], FrameType, Known], Event | None]

MOST_NODES = 20_000  # of a graph, when its size is asked for


def _forward(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    net = local["self"]
    if id(net) not in known.names:
        return None
    graded = torch.is_grad_enabled()
    if not graded and _is_recomputed_later(frame):
        return None
    training = is_training(net)
    details = {"grad": graded, "training": training, "modal": ()}
    if graded != training:  # trained in eval mode, or evaluated in train mode
        details["modal"] = modal_kinds(net, training=training)
    return Event("forward", known.names[id(net)], details)


def _is_recomputed_later(frame: FrameType | None) -> bool:
    """Whether a forward without gradients is that of a checkpoint, which runs again in backward."""
    for _ in range(12):
        if frame is None:
            return False
        if frame.f_code.co_filename == torch.utils.checkpoint.__file__:
            return True
        frame = frame.f_back
    return False


def _backward(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event:
    roots = _roots(local["tensors"])
    nodes = [grad_fn(root) for root in roots]
    near = [list(below([node], NEAR)) for node in nodes]
    kept = local.get("retain_graph"), local.get("create_graph")
    retained = _is_true(kept[0])
    if all(one is None or one is False for one in kept):
        known.spent.note(near[0] if len(near) == 1 else below(nodes, NEAR))
    pair = next((found for found in map(taken_twice, near) if found[0]), (None, None))
    return Event(
        "backward",
        "",
        {
            "mean": len(roots) == 1 and is_mean(nodes[0]),
            "twice": pair[0],
            "classes": pair[1],
            "cut": bool(roots) and all(root.is_leaf for root in roots),
            "nodes": _nodes(nodes) if retained else None,
            "inputs": local.get("inputs") is not None,
        },
    )


def _is_true(value: object) -> bool:
    return type(value) in (bool, int) and bool(value)


def _roots(tensors: object) -> list[Tensor]:
    """The tensors that a backward begins at; none where only the user's own code could tell."""
    several: Any = tensors if type(tensors) in (list, tuple) else [tensors]
    return [one for one in several if is_a(one, Tensor) and is_plain(one)]


def _nodes(roots: Iterable[Node | None]) -> tuple[int, int, int]:
    """How many nodes the graph below has, up to a limit; the oldest's and the newest's number.

    autograd numbers nodes as they are made; parameters have the largest number of all.
    """
    nodes = list(below(roots, MOST_NODES))
    numbers = [number for number in map(number_of, nodes) if number is not None]
    return len(nodes), min(numbers, default=0), max(numbers, default=0)


def _clip(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event:
    return Event("clip", frame.f_code.co_name)


def _clear(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    name = known.names.get(id(local["self"]))
    return None if name is None else Event("clear", name)


def _scale(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    enabled = attributes(local["self"]).get("_enabled") is True
    return Event("scale", "GradScaler") if enabled else None


def _unscale(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    return Event("unscale", known.names.get(id(local["optimizer"]), ""))


def _scaler_step(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    return Event("scaler step", known.names.get(id(local["optimizer"]), ""))


def _schedule(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    kept = attributes(local["self"])
    optimizer = kept.get("optimizer")
    caller = frame.f_back.f_code.co_name if frame.f_back is not None else ""
    if caller == "_initial_step" or id(optimizer) not in known.names:
        return None
    return Event(
        "schedule",
        known.names[id(optimizer)],
        {
            "scheduler": type(local["self"]).__name__,
            "first": kept.get("_step_count") == 1,
            "stepped": attributes(optimizer).get("_opt_called") is True,
        },
    )


def _shapes(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    a, b = local["input"], local["target"]
    reduction = local.get("reduction")
    if type(reduction) is not str or reduction == "none" or not (_is_shown(a) and _is_shown(b)):
        return None
    if a.dim() == b.dim():
        return None
    if b.device.type == "cpu" and b.numel():
        flat = b.detach().flatten()
        if bool((flat == flat[0]).all()):
            return None  # all targets are the same: broadcast or not, so is the loss
    return Event(
        "shapes", frame.f_code.co_name, {"input": tuple(a.shape), "target": tuple(b.shape)}
    )


def _is_shown(value: object) -> TypeGuard[Tensor]:
    """Whether a value is a tensor whose entries may be asked for."""
    return is_a(value, Tensor) and has_values(value) and not value.is_nested


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


def is_of_interest(recogniser: Recogniser, frame: FrameType, known: Known) -> bool:
    """Whether a call can be an event at all: most forwards are those of layers, of no network.

    torch's own code never reads the dict of its variables, so it may be looked at as it is.
    """
    return recogniser is not _forward or id(frame.f_locals["self"]) in known.names


def is_recognised(code: CodeType) -> bool:
    """Whether a call of this code may be an event."""
    return id(code) in _CODES


def recogniser_of(code: CodeType) -> Recogniser | None:
    """What tells the event from a call of this code; None for code that is none."""
    known = _CODES.get(id(code))
    return None if known is None else known[1]
