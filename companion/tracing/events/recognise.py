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
from typing import Any, TypeAlias

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad
from torch.optim import lr_scheduler
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a
from companion.records.line import Event
from companion.tracing.events import dropouts, loaders
from companion.tracing.events.clips import clip
from companion.tracing.events.criterion import Twice, is_mean, picked_across, taken_twice
from companion.tracing.events.feeds import CRITERIA, fed
from companion.tracing.events.finite import of_loss
from companion.tracing.events.graph import Node, below, grad_fn, number_of
from companion.tracing.events.idle import loads_itself
from companion.tracing.events.known import NEAR, Known
from companion.tracing.events.modes import modal_kinds
from companion.tracing.events.pairs import LOSSES, compared, spreads
from companion.tracing.measure.modules import is_training, parameters
from companion.tracing.measure.values import is_plain

Recogniser: TypeAlias = Callable[[Mapping[str, Any], FrameType, Known], Event | None]

MOST_NODES = 20_000  # of a graph, when its size is asked for
FAR = 100  # in which a criterion, or what may be too steep, is looked for


def _forward(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    net = local["self"]
    beside = id(net) not in known.names
    if beside and id(net) not in known.beside:
        return None
    graded = torch.is_grad_enabled()
    if not graded and _is_recomputed_later(frame):
        return None
    training = is_training(net)
    frozen = not any(p.requires_grad for p in parameters(net))
    details: dict[str, Any] = {"grad": graded, "training": training, "modal": ()}
    if beside or frozen or graded != training:  # trained in eval mode, or evaluated in train mode
        details["modal"] = modal_kinds(net, training=training)
    if beside:
        one = known.beside[id(net)]
        more = {"frozen": frozen, "alike": one.alike, "elsewhere": one.elsewhere}
        given = loaders.tensors(local.get("args"), local.get("kwargs"))
        more["through"] = graded and any(one.requires_grad for one in given)
        return Event("takes part", one.name, details | more)
    if graded and training and known.forwards is not None:
        details["number"] = known.forwards.begin()
        if known.forwards.several:
            details["modal"] = modal_kinds(net, training=True)
    if graded and known.loaders.begun:
        details["batch"] = known.loaders.digest(local.get("args"), local.get("kwargs"))
    if graded and known.several:
        details["rows"] = loaders.rows(local.get("args"), local.get("kwargs"))
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
    begun = roots(local["tensors"])
    nodes = [grad_fn(root) for root in begun]
    near = [list(below([node], FAR)) for node in nodes]
    kept = local.get("retain_graph"), local.get("create_graph")
    retained = _is_true(kept[0])
    if all(one is None or one is False for one in kept):
        known.spent.note(near[0][:NEAR] if len(near) == 1 else below(nodes, NEAR))
    spread = next((found for node in nodes for found in spreads(node)), None)
    twice = next((found for found in map(taken_twice, near) if found.what), Twice())
    reached = {} if known.forwards is None else {"reaches": known.forwards.reached(nodes)}
    return Event(
        "backward",
        "",
        {
            "mean": len(begun) == 1 and is_mean(nodes[0]),
            "twice": twice.what,
            "before": twice.before,
            "classes": twice.classes,
            "across": next((found for found in map(picked_across, near) if found), None),
            "spread": None if spread is None else spread.whole,
            "part": None if spread is None else spread.part,
            "cut": bool(begun) and all(root.is_leaf and root.requires_grad for root in begun),
            "nodes": _nodes(nodes) if retained else None,
            "inputs": local.get("inputs") is not None,
            **of_loss(begun, near[0] if len(near) == 1 else list(below(nodes, FAR))),
            **reached,
            "strangers": known.reached.backward(begun, frame),
        },
    )


def _grad(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event:
    if known.forwards is not None:
        known.forwards.forget()
    return Event("grad asked", "")


def _made(local: Mapping[str, Any], frame: FrameType, known: Known) -> None:
    known.reached.made(frame)


def _is_true(value: object) -> bool:
    return type(value) in (bool, int) and bool(value)


def roots(tensors: object) -> list[Tensor]:
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
    return clip(local, frame, known.reached.watched)


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
    called = attributes(optimizer).get("_opt_called") is True
    if id(optimizer) not in known.names:  # Accelerate's stands around the one that is watched
        optimizer = attributes(optimizer).get("optimizer")
    caller = frame.f_back.f_code.co_name if frame.f_back is not None else ""
    if caller == "_initial_step" or id(optimizer) not in known.names:
        return None
    return Event(
        "schedule",
        known.names[id(optimizer)],
        {
            "scheduler": type(local["self"]).__name__,
            "first": kept.get("_step_count") == 1,
            "stepped": called or attributes(optimizer).get("_opt_called") is True,
            "span": span if type(span := kept.get("T_max")) is int and span > 0 else None,
        },
    )


def _compared(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    return compared(local, frame)


def _fed(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    return fed(local, frame)


def _dropout(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    return dropouts.awake(local, frame)


def _fetch(local: Mapping[str, Any], frame: FrameType, known: Known) -> Event | None:
    return known.loaders.fetched(local, frame)


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
        (nn.Parameter.__new__, _made),
        (torch.autograd.backward, _backward),
        (Optimizer.zero_grad, _clear),
        (nn.Module.zero_grad, _clear),
        (nn.Module.load_state_dict, loads_itself),
        *((getattr(clip_grad, name), _clip) for name in _CLIPS if hasattr(clip_grad, name)),
        (GradScaler.scale, _scale),
        (GradScaler.unscale_, _unscale),
        (GradScaler.step, _scaler_step),
        *((kind.step, _schedule) for kind in schedulers),
        *((getattr(functional, name), _compared) for name in LOSSES),
        *((getattr(functional, name), _fed) for name in CRITERIA),
        *((function, _dropout) for function in dropouts.FUNCTIONS),
        (loaders.FETCH, _fetch),
        (torch.autograd.grad, _grad),
    ]
    codes = {}
    for function, recogniser in table:
        code = inspect.unwrap(function).__code__
        codes[id(code)] = (code, recogniser)
    return codes


def _parts() -> dict[int, tuple[CodeType, str]]:
    names: dict[Recogniser, str] = {
        _forward: "forward",
        _backward: "backward",
        _clear: "clear",
        _clip: "clip",
        _scale: "scale",
        _unscale: "unscale",
        _scaler_step: "scaler step",
        _schedule: "schedule",
    }
    parts = {key: (code, names[tell]) for key, (code, tell) in _CODES.items() if tell in names}
    around: Any = Optimizer.profile_hook_step(_schedule)  # what every step runs in
    steps = [("step", around)]
    for kind in vars(torch.optim).values():
        if isinstance(kind, type) and "_init_group" in vars(kind):  # after a closure has run
            steps.append(("update", vars(kind)["_init_group"]))
    return parts | {id(one.__code__): (one.__code__, part) for part, one in steps}


_CLIPS = ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_")
_CODES = _codes()
_PARTS = _parts()
FORWARD = inspect.unwrap(nn.Module.__call__).__code__


def is_of_interest(recogniser: Recogniser, frame: FrameType, known: Known) -> bool:
    """Whether a call can be an event at all: most forwards are those of layers, of no network.

    torch's own code never reads the dict of its variables, so it may be looked at as it is.
    """
    if recogniser is not _forward:
        return True
    number = id(frame.f_locals["self"])
    return number in known.names or number in known.beside


def is_recognised(code: CodeType) -> bool:
    """Whether a call of this code may be an event."""
    return id(code) in _CODES and _CODES[id(code)][1] is not _made


def part_of(code: CodeType) -> str:
    """Which part of a training step a call of this code begins; "" for none, as nearly all."""
    known = _PARTS.get(id(code))
    return "" if known is None else known[1]


def recogniser_of(code: CodeType) -> Recogniser | None:
    """What tells the event from a call of this code; None for code that is none."""
    known = _CODES.get(id(code))
    return None if known is None else known[1]
